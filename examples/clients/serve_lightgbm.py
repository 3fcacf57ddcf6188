"""Trains a LightGBM model, logs it with MLflow's own client, gives it an alias, and asks it over Open Inference Protocol.

    pip install mlflow lightgbm pandas
    mainspring -C FOLDER serve                                 # in another terminal
    python serve_lightgbm.py FOLDER http://127.0.0.1:7878

The only word that is Mainspring's own is `mainspring deploy`, which puts the model behind an endpoint.
"""

import json
import os
import subprocess
import sys
import urllib.request

import lightgbm as lgb
import mlflow
import numpy as np
import pandas as pd

folder, server = sys.argv[1], sys.argv[2]
mainspring = os.environ.get("MAINSPRING_BINARY", "mainspring")

# what a day of deliveries might look like: numbers, some unknown, and a category
random = np.random.default_rng(1)
rows = pd.DataFrame(
    {
        "distance": random.lognormal(2, 1, 5_000),
        "wind": np.where(random.random(5_000) < 0.1, np.nan, random.normal(8, 3, 5_000)),
        "depot": pd.Categorical(random.choice(["north", "south", "harbour"], 5_000)),
    }
)
late = (rows.distance * 0.1 + rows.wind.fillna(9) * 0.2 + (rows.depot == "harbour") * 1.5 > 3).astype(int)

# the client that people have, unchanged
mlflow.set_tracking_uri(server)
mlflow.set_experiment("deliveries")
with mlflow.start_run():
    booster = lgb.train({"objective": "binary", "verbose": -1}, lgb.Dataset(rows, late), 50)
    mlflow.lightgbm.log_model(booster, name="model", registered_model_name="delivery_late")

# one command puts it behind an endpoint
subprocess.run([mainspring, "-C", folder, "deploy", "delivery_late"], check=True)

# any client of the protocol asks it; here none but the standard library
asked = rows.head(5)
body = {
    "inputs": [
        {"name": "distance", "shape": [5], "datatype": "FP64", "data": asked.distance.tolist()},
        {"name": "wind", "shape": [5], "datatype": "FP64", "data": [None if np.isnan(w) else w for w in asked.wind]},
        {"name": "depot", "shape": [5], "datatype": "BYTES", "data": asked.depot.tolist()},
    ]
}
request = urllib.request.Request(
    f"{server}/v2/models/delivery_late/infer", json.dumps(body).encode(), {"content-type": "application/json"}
)
with urllib.request.urlopen(request, timeout=30) as answer:
    served = json.load(answer)["outputs"][0]["data"]

for ours, theirs in zip(served, booster.predict(asked)):
    print(f"served {ours:.9f}   lightgbm {theirs:.9f}")
    assert abs(ours - theirs) < 1e-6

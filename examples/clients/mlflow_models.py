"""Logs a model, registers it, calls it champion and loads it back. The server's address is the one argument.

    mkdir -p /tmp/models && mainspring -C /tmp/models serve &
    pip install mlflow scikit-learn
    python examples/clients/mlflow_models.py http://127.0.0.1:7878
"""

import sys

import mlflow
from sklearn.datasets import load_iris
from sklearn.linear_model import LogisticRegression

mlflow.set_tracking_uri(sys.argv[1] if len(sys.argv) > 1 else "http://127.0.0.1:7878")
mlflow.set_experiment("flowers")
flowers = load_iris(as_frame=True)

with mlflow.start_run():
    model = LogisticRegression(max_iter=500).fit(flowers.data, flowers.target)
    mlflow.log_metric("accuracy", model.score(flowers.data, flowers.target))
    mlflow.sklearn.log_model(model, name="flowers", registered_model_name="flowers")

client = mlflow.MlflowClient()
newest = client.search_model_versions("name = 'flowers'", order_by=["version_number DESC"])[0]
client.set_registered_model_alias("flowers", "champion", newest.version)

champion = mlflow.pyfunc.load_model("models:/flowers@champion")
print(f"version {newest.version} is champion; the first flower is of kind {champion.predict(flowers.data.head(1))[0]}")

"""Tracks three runs with the MLflow client, and finds the best of them.

Usage: python mlflow_tracking.py http://127.0.0.1:7878
"""

import sys

import mlflow

mlflow.set_tracking_uri(sys.argv[1])
mlflow.set_experiment("lateness")

for depth in (2, 4, 6):
    with mlflow.start_run(run_name=f"depth {depth}"):
        mlflow.log_params({"depth": depth, "rate": 0.1})
        for step in range(10):
            mlflow.log_metric("loss", 1 / (depth + step), step=step)
        mlflow.log_metric("auc", 0.6 + depth / 20)

best = mlflow.search_runs(filter_string="metrics.auc > 0.7", order_by=["metrics.auc DESC"]).iloc[0]
print(f"the best is {best['tags.mlflow.runName']} with an AUC of {best['metrics.auc']:.2f}")

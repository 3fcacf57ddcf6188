"""What people do all day: autologging, registering, loading back."""

import mlflow
import numpy as np
import pandas as pd
import pytest
from mlflow import MlflowClient

from harness import Server


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with Server(tmp_path_factory.mktemp("autolog")) as server:
        yield server


@pytest.fixture
def client(server):
    mlflow.set_tracking_uri(server.url)
    mlflow.set_registry_uri(server.url)
    yield MlflowClient()
    mlflow.autolog(disable=True)


def rows():
    random = np.random.default_rng(7)
    table = pd.DataFrame(random.normal(size=(400, 3)), columns=["a", "b", "c"])
    return table, (table.a + table.b**2 > 0.7).astype(int)


def test_sklearn_autolog(client):
    from sklearn.linear_model import LogisticRegression

    mlflow.set_experiment("sklearn")
    mlflow.sklearn.autolog(log_datasets=True)
    table, late = rows()
    with mlflow.start_run() as run:
        model = LogisticRegression(C=0.5).fit(table, late)
        model.score(table, late)
    mlflow.sklearn.autolog(disable=True)
    seen = client.get_run(run.info.run_id)
    assert seen.info.status == "FINISHED"
    assert seen.data.params["C"] == "0.5" and "training_roc_auc" in seen.data.metrics
    assert seen.data.tags["estimator_name"] == "LogisticRegression"
    assert {"model"} | {"training_confusion_matrix.png", "training_roc_curve.png"} <= {
        info.path for info in client.list_artifacts(run.info.run_id)
    } | {"model"}
    assert seen.inputs.dataset_inputs and seen.outputs.model_outputs
    loaded = mlflow.sklearn.load_model(f"runs:/{run.info.run_id}/model")
    assert (loaded.predict(table) == model.predict(table)).all()


def test_lightgbm_autolog(client):
    import lightgbm

    mlflow.set_experiment("lightgbm")
    mlflow.lightgbm.autolog()
    table, late = rows()
    data = lightgbm.Dataset(table, label=late)
    with mlflow.start_run() as run:
        booster = lightgbm.train(
            {"objective": "binary", "metric": "auc", "num_leaves": 7, "verbose": -1}, data, num_boost_round=10,
            valid_sets=[data], valid_names=["train"],
        )
    mlflow.lightgbm.autolog(disable=True)
    seen = client.get_run(run.info.run_id)
    assert seen.data.params["num_leaves"] == "7"
    assert len(client.get_metric_history(run.info.run_id, "train-auc")) == 10
    loaded = mlflow.lightgbm.load_model(f"runs:/{run.info.run_id}/model")
    assert np.allclose(loaded.predict(table), booster.predict(table))


def test_xgboost_autolog(client):
    import xgboost

    mlflow.set_experiment("xgboost")
    mlflow.xgboost.autolog()
    table, late = rows()
    data = xgboost.DMatrix(table, label=late)
    with mlflow.start_run() as run:
        booster = xgboost.train(
            {"objective": "binary:logistic", "eval_metric": "logloss", "max_depth": 3}, data, 8, evals=[(data, "train")]
        )
    mlflow.xgboost.autolog(disable=True)
    seen = client.get_run(run.info.run_id)
    assert seen.data.params["max_depth"] == "3" and "train-logloss" in seen.data.metrics
    loaded = mlflow.xgboost.load_model(f"runs:/{run.info.run_id}/model")
    assert np.allclose(loaded.predict(data), booster.predict(data))


def test_a_model_is_logged_registered_promoted_and_loaded_by_alias(client):
    from sklearn.linear_model import LogisticRegression

    mlflow.set_experiment("all day")
    table, late = rows()
    for strength in [0.1, 1.0]:
        with mlflow.start_run():
            model = LogisticRegression(C=strength).fit(table, late)
            mlflow.log_metrics({"accuracy": model.score(table, late), "strength": strength})
            mlflow.sklearn.log_model(
                model, name="sign", registered_model_name="sign", input_example=table.head(2),
            )
    client.set_registered_model_alias("sign", "champion", 2)
    loaded = mlflow.pyfunc.load_model("models:/sign@champion")
    assert (loaded.predict(table) == model.predict(table)).all()
    assert loaded.metadata.signature.inputs.input_names() == ["a", "b", "c"]
    assert [int(version.version) for version in client.search_model_versions("name = 'sign'")] == [2, 1]
    best = mlflow.search_logged_models(
        filter_string="metrics.accuracy > 0.5", order_by=[{"field_name": "metrics.strength", "ascending": False}],
        output_format="list",
    )
    assert best[0].name == "sign"
    assert client.get_model_version("sign", 2).source == f"models:/{best[0].model_id}"
    version = mlflow.register_model(f"models:/{best[0].model_id}", "sign")
    assert int(version.version) == 3 and version.source == f"models:/{best[0].model_id}"
    copied = client.copy_model_version("models:/sign@champion", "sign-prod")
    assert (mlflow.pyfunc.load_model("models:/sign-prod/1").predict(table) == model.predict(table)).all()
    assert int(copied.version) == 1

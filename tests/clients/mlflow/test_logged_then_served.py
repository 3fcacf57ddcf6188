"""What MLflow's client logs goes behind an endpoint with one command, and answers what the library answers."""

import os
import pathlib
import subprocess
import sys
import threading
import urllib.error

import lightgbm as lgb
import mlflow
import numpy as np
import pytest
import xgboost as xgb
from harness import BINARY, PATIENCE, Server, mainspring, waited
from sklearn.linear_model import LogisticRegression

sys.path.append(str(pathlib.Path(__file__).parents[1] / "trees"))

import rows  # noqa: E402
from asking import classes, predictions  # noqa: E402

ROWS = rows.make(10_000, seed=21)
TRAIN = rows.make(1_500, seed=22)
LABEL = rows.labels(TRAIN, 23)


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with Server(tmp_path_factory.mktemp("logged")) as server:
        mlflow.set_tracking_uri(server.url)
        mlflow.set_registry_uri(server.url)
        mlflow.set_experiment("trees")
        yield server


def booster(rounds: int) -> lgb.Booster:
    return lgb.train({"objective": "regression", "verbose": -1, "seed": rounds}, lgb.Dataset(TRAIN, LABEL), rounds)


def log_lightgbm(name: str, rounds: int) -> lgb.Booster:
    trained = booster(rounds)
    with mlflow.start_run():
        mlflow.lightgbm.log_model(trained, name="model", registered_model_name=name)
    return trained


def assert_same(ours, theirs):
    np.testing.assert_allclose(ours, theirs, rtol=1e-6, atol=1e-6)


def test_a_lightgbm_booster(server):
    trained = log_lightgbm("logged_lightgbm", 20)
    mainspring(server.folder, "deploy", "logged_lightgbm")
    assert_same(predictions(server, "logged_lightgbm", ROWS), trained.predict(ROWS))
    loaded = mlflow.pyfunc.load_model("models:/logged_lightgbm@champion")
    assert_same(loaded.predict(ROWS), trained.predict(ROWS))


@pytest.mark.parametrize("form", ["ubj", "json"])
def test_an_xgboost_booster(server, form):
    data = xgb.DMatrix(TRAIN, (LABEL > LABEL.median()).astype(int), enable_categorical=True)
    trained = xgb.train({"objective": "binary:logistic", "max_depth": 4}, data, 20)
    with mlflow.start_run():
        name = f"logged_xgboost_{form}"
        mlflow.xgboost.log_model(trained, name="model", registered_model_name=name, model_format=form)
    mainspring(server.folder, "deploy", name)
    theirs = trained.predict(xgb.DMatrix(ROWS, enable_categorical=True))
    assert_same(predictions(server, name, ROWS), theirs)


def test_an_xgboost_estimator_stops_at_its_best_iteration(server):
    check = rows.make(500, seed=24)
    trained = xgb.XGBRegressor(n_estimators=100, learning_rate=0.6, early_stopping_rounds=3, enable_categorical=True)
    trained.fit(TRAIN, LABEL, eval_set=[(check, rows.labels(check, 25))], verbose=False)
    assert trained.best_iteration < 95
    with mlflow.start_run():
        mlflow.xgboost.log_model(trained, name="model", registered_model_name="logged_estimator")
    mainspring(server.folder, "deploy", "logged_estimator")
    assert_same(predictions(server, "logged_estimator", ROWS), trained.predict(ROWS))


@pytest.mark.parametrize("kind", ["two", "three", "amount"])
def test_a_lightgbm_estimator(server, kind):
    label = {
        "two": LABEL > LABEL.median(),
        "three": np.array(["early", "late", "on time"])[np.searchsorted(LABEL.quantile([0.3, 0.6]), LABEL)],
        "amount": LABEL,
    }[kind]
    estimator = lgb.LGBMRegressor if kind == "amount" else lgb.LGBMClassifier
    check = rows.make(500, seed=24)
    few = dict(eval_set=[(check, rows.labels(check, 25))], callbacks=[lgb.early_stopping(3, verbose=False)])
    trained = estimator(n_estimators=60, learning_rate=0.5, verbose=-1).fit(TRAIN, label, **(few if kind == "amount" else {}))
    assert kind != "amount" or 0 < trained.best_iteration_ < 55
    name = f"logged_estimator_{kind}"
    with mlflow.start_run():
        logged = mlflow.lightgbm.log_model(trained, name="model", registered_model_name=name)
    assert logged.flavors["lightgbm"]["serialization_format"] == "skops"
    mainspring(server.folder, "deploy", name)
    theirs = trained.predict(ROWS) if kind == "amount" else trained.predict_proba(ROWS)
    assert_same(predictions(server, name, ROWS), theirs[:, 1] if kind == "two" else theirs)
    if kind == "three":
        assert classes(server, name, ROWS) == list(trained.predict(ROWS))


def test_a_switch_fails_no_request_and_a_rollback_goes_back(server):
    first, second = log_lightgbm("switched", 5), log_lightgbm("switched", 15)
    mainspring(server.folder, "deploy", "switched", "--version", "1")
    few = ROWS.head(50)
    expected = [first.predict(few), second.predict(few)]
    assert_same(predictions(server, "switched", few), expected[0])

    stop, failed, seen = threading.Event(), [], set()

    def keep_asking():
        while not stop.is_set():
            try:
                answer = predictions(server, "switched", few)
                seen.add(next(at for at, one in enumerate(expected) if np.allclose(answer, one, 1e-6, 1e-6)))
            except (urllib.error.URLError, StopIteration) as error:
                failed.append(error)

    asking = [threading.Thread(target=keep_asking) for _ in range(4)]
    for thread in asking:
        thread.start()
    client = mlflow.MlflowClient()
    try:
        waited(lambda: seen or failed)
        for version in ["2", "1", "2"]:
            client.set_registered_model_alias("switched", "champion", version)
            mainspring(server.folder, "deploy", "switched")
        waited(lambda: seen == {0, 1} or failed)
    finally:
        stop.set()
        for thread in asking:
            thread.join()
    assert failed == []
    assert seen == {0, 1}

    assert_same(predictions(server, "switched", few), expected[1])
    mainspring(server.folder, "rollback", "switched")
    mainspring(server.folder, "deploy", "switched")
    assert_same(predictions(server, "switched", few), expected[0])


def test_what_an_endpoint_serves_is_not_taken_from_under_it(server):
    log_lightgbm("served", 5)
    mainspring(server.folder, "deploy", "served", "--as", "served_elsewhere")
    client = mlflow.MlflowClient()
    for call in [
        lambda: client.rename_registered_model("served", "gone"),
        lambda: client.delete_registered_model("served"),
        lambda: client.delete_model_version("served", "1"),
        lambda: client.delete_registered_model_alias("served", "champion"),
    ]:
        with pytest.raises(mlflow.exceptions.MlflowException, match="the endpoint `served_elsewhere` follows") as refused:
            call()
        assert refused.value.error_code == "INVALID_PARAMETER_VALUE"
    predictions(server, "served_elsewhere", ROWS.head(7))
    log_lightgbm("served", 6)
    client.delete_model_version("served", "2")


def test_predictions_are_logged_and_the_console_shows_the_endpoint(server):
    log_lightgbm("shown", 5)
    mainspring(server.folder, "deploy", "shown", "--as", "shown_elsewhere")
    predictions(server, "shown_elsewhere", ROWS.head(7))
    query = 'select count(*) as n, min(origin) as o from predictions.shown_elsewhere where model = \'shown\''

    def logged():
        # the first predictions make the table
        answer = subprocess.run(
            [BINARY, "-C", server.folder, "query", query, "--json"], capture_output=True, text=True, timeout=PATIENCE
        )
        return answer.returncode == 0 and '"n":7' in answer.stdout.replace(" ", "")

    waited(logged)
    assert "shown_elsewhere" in server.get("/endpoints").decode()
    page = server.get("/endpoints/shown_elsewhere").decode()
    assert "version 1" in page and "distance" in page
    audit = mainspring(server.folder, "list", "audit", "--json")
    assert "endpoint.deploy" in audit


def test_what_does_not_run_here_is_kept_and_says_why(server):
    numbers = TRAIN[["seats", "distance"]]
    label = (LABEL > 0).astype(int)
    with mlflow.start_run():
        trained = LogisticRegression().fit(numbers, label)
        mlflow.sklearn.log_model(trained, name="model", registered_model_name="pickled")
    with mlflow.start_run():
        estimator = lgb.LGBMClassifier(n_estimators=5, verbose=-1).fit(numbers, label)
        mlflow.lightgbm.log_model(
            estimator, name="model", registered_model_name="pickled_lightgbm", serialization_format="cloudpickle"
        )
    for name in ["pickled", "pickled_lightgbm"]:
        refused = subprocess.run(
            [BINARY, "-C", server.folder, "deploy", name], capture_output=True, text=True, timeout=PATIENCE
        )
        assert refused.returncode != 0
        assert "LightGBM text" in refused.stderr and "XGBoost" in refused.stderr, refused.stderr
    loaded = mlflow.pyfunc.load_model("models:/pickled/1")
    assert (loaded.predict(numbers) == trained.predict(numbers)).all()


def test_the_example_runs(server):
    example = pathlib.Path(__file__).parents[3] / "examples/clients/serve_lightgbm.py"
    done = subprocess.run(
        [sys.executable, example, server.folder, server.url], capture_output=True, text=True, timeout=PATIENCE,
        env={**os.environ, "MAINSPRING_BINARY": BINARY},
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("served") == 5

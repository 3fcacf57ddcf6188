"""A server over an empty folder, and the MLflow client pointed at it and at nothing else."""

import os
import shutil
import tempfile

from harness import PATIENCE, Server

# before mlflow is imported: nothing of it may leave this machine, and a failure must not hide behind retries
os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"
os.environ["DO_NOT_TRACK"] = "true"
os.environ["MLFLOW_HTTP_REQUEST_MAX_RETRIES"] = "1"
os.environ["MLFLOW_HTTP_REQUEST_TIMEOUT"] = str(PATIENCE)
os.environ["GIT_PYTHON_REFRESH"] = "quiet"
# a model is logged with the requirements of its flavour: to guess them the client would import all there is in a process
# of its own, many seconds for each model, of which the server sees nothing
os.environ["MLFLOW_REQUIREMENTS_INFERENCE_TIMEOUT"] = "0"

import mlflow
import pytest


@pytest.fixture(scope="session", autouse=True)
def temporary(tmp_path_factory):
    """The client leaves what it downloads in the temporary folder, so it gets one of its own."""
    folder = str(tmp_path_factory.mktemp("temporary"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TMPDIR", folder)
        patch.setattr(tempfile, "tempdir", folder)
        yield
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="module", autouse=True)
def nothing_left():
    """The client keeps the experiment that was set, here and for its children; the next module starts without."""
    yield
    mlflow.tracking.fluent._active_experiment_id = None
    os.environ.pop("MLFLOW_EXPERIMENT_ID", None)


@pytest.fixture(scope="session")
def server(tmp_path_factory):
    with Server(tmp_path_factory.mktemp("mlflow") / "project") as server:
        yield server


@pytest.fixture
def client(server):
    mlflow.set_tracking_uri(server.url)
    mlflow.set_registry_uri(server.url)
    yield mlflow.MlflowClient(server.url)
    while mlflow.active_run():
        mlflow.end_run()


@pytest.fixture
def experiment(client, request):
    """The id of a fresh experiment."""
    fixture_name = request.node.name.replace("[", "-").replace("]", "")
    return client.create_experiment(f"{request.module.__name__}/{fixture_name}")

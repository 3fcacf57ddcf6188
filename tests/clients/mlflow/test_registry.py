"""Registered models, versions, aliases and logged models, through the real client."""

import os
import pathlib
import subprocess
import sys

import mlflow
import pytest
import requests
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException, RestException
from mlflow.models import Model

from harness import PATIENCE, Server, mainspring


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with Server(tmp_path_factory.mktemp("registry")) as server:
        yield server


@pytest.fixture
def client(server):
    mlflow.set_tracking_uri(server.url)
    mlflow.set_registry_uri(server.url)
    return MlflowClient()


class Doubler(mlflow.pyfunc.PythonModel):
    def predict(self, context, model_input, params=None):
        return [value * 2 for value in model_input["x"]]


def logged_run(client, metrics=None):
    """A run with a folder `model` that holds an MLmodel file."""
    run = client.create_run("0")
    for key, value in (metrics or {}).items():
        client.log_metric(run.info.run_id, key, value)
    client.log_text(run.info.run_id, "flavors:\n  sklearn:\n    pickled_model: model.pkl\n", "model/MLmodel")
    client.log_text(run.info.run_id, "not opened", "model/model.pkl")
    return run


def version_of(client, name, **more):
    run = logged_run(client, more.pop("metrics", None))
    return client.create_model_version(name, f"{run.info.artifact_uri}/model", run.info.run_id, **more)


def refused(code, call, *args, **kwargs):
    with pytest.raises((MlflowException, RestException)) as error:
        call(*args, **kwargs)
    assert error.value.error_code == code, error.value
    return str(error.value)


def test_a_model_lives_from_create_to_delete(client):
    made = client.create_registered_model("life", {"team": "ops"}, "what it is")
    assert (made.name, made.tags, made.description) == ("life", {"team": "ops"}, "what it is")
    assert made.creation_timestamp <= made.last_updated_timestamp
    assert refused("RESOURCE_ALREADY_EXISTS", client.create_registered_model, "life")
    client.set_registered_model_tag("life", "stage", "new")
    client.delete_registered_model_tag("life", "team")
    client.update_registered_model("life", "what it became")
    seen = client.get_registered_model("life")
    assert (seen.tags, seen.description, seen.latest_versions) == ({"stage": "new"}, "what it became", [])

    version_of(client, "life")
    client.set_registered_model_alias("life", "champion", "1")
    client.rename_registered_model("life", "afterlife")
    refused("RESOURCE_DOES_NOT_EXIST", client.get_registered_model, "life")
    assert int(client.get_model_version_by_alias("afterlife", "champion").version) == 1
    assert client.get_model_version("afterlife", "1").name == "afterlife"

    client.delete_registered_model("afterlife")
    refused("RESOURCE_DOES_NOT_EXIST", client.get_registered_model, "afterlife")
    refused("RESOURCE_DOES_NOT_EXIST", client.get_model_version, "afterlife", "1")
    assert client.search_model_versions("name = 'afterlife'") == []


@pytest.mark.parametrize("name", ["", "a/b", "a:b", "a\nb", "x" * 300])
def test_names_that_no_model_can_have(client, name):
    refused("INVALID_PARAMETER_VALUE", client.create_registered_model, name)


def test_prompts_are_not_there_and_nothing_of_one_stays(server, client):
    said = refused("NOT_IMPLEMENTED", client.register_prompt, "greeting", "Hello {{name}}")
    assert "Prompts" in said
    refused("RESOURCE_DOES_NOT_EXIST", client.get_registered_model, "greeting")
    assert client.search_prompts() == []
    refused("RESOURCE_DOES_NOT_EXIST", client.load_prompt, "greeting", version=1)
    assert client.load_prompt("greeting", version=1, allow_missing=True) is None

    client.create_registered_model("no_prompt")
    tags = [{"key": "mlflow.prompt.is_prompt", "value": "true"}]
    version = {"name": "no_prompt", "source": "dummy-source", "tags": tags}
    answer = requests.post(f"{server.url}/api/2.0/mlflow/model-versions/create", json=version, timeout=PATIENCE)
    assert (answer.status_code, answer.json()["error_code"]) == (501, "NOT_IMPLEMENTED"), answer.text
    assert "Prompts" in answer.json()["message"]
    assert client.get_registered_model("no_prompt").latest_versions == []
    client.delete_registered_model("no_prompt")


def test_versions_are_numbered_described_tagged_staged_and_deleted(server, client):
    client.create_registered_model("v")
    versions = [version_of(client, "v", tags={"n": str(n)}, description=f"number {n}") for n in range(3)]
    assert [int(version.version) for version in versions] == [1, 2, 3]
    first = client.get_model_version("v", "1")
    assert (first.status, first.current_stage, first.tags, first.description) == ("READY", "None", {"n": "0"}, "number 0")
    assert first.run_id and first.source.endswith("/artifacts/model")

    client.update_model_version("v", "1", "reworded")
    client.set_model_version_tag("v", "1", "checked", "yes")
    client.delete_model_version_tag("v", "1", "n")
    first = client.get_model_version("v", "1")
    assert (first.description, first.tags) == ("reworded", {"checked": "yes"})

    stage = {"name": "v", "version": "1", "stage": "Production"}
    moved = requests.post(f"{server.url}/api/2.0/mlflow/model-versions/transition-stage", json=stage, timeout=PATIENCE)
    assert moved.status_code == 200, moved.text
    client.transition_model_version_stage("v", "1", "Production")
    client.transition_model_version_stage("v", "2", "production", archive_existing_versions=True)
    assert client.get_model_version("v", "1").current_stage == "Archived"
    latest = {version.current_stage: int(version.version) for version in client.get_latest_versions("v")}
    assert latest == {"None": 3, "Production": 2, "Archived": 1}
    assert [int(v.version) for v in client.get_latest_versions("v", ["Production"])] == [2]
    refused("INVALID_PARAMETER_VALUE", client.transition_model_version_stage, "v", "1", "Nowhere")

    client.set_registered_model_alias("v", "spare", "3")
    client.delete_model_version("v", "3")
    refused("RESOURCE_DOES_NOT_EXIST", client.get_model_version, "v", "3")
    assert client.get_registered_model("v").aliases == {}
    assert int(version_of(client, "v").version) == 4, "a number is not given twice"
    refused("RESOURCE_DOES_NOT_EXIST", client.get_model_version, "v", "77")
    refused("INVALID_PARAMETER_VALUE", client.get_model_version, "v", "one")


def test_aliases_move_and_go(client):
    client.create_registered_model("aliased")
    for _ in range(2):
        version_of(client, "aliased")
    client.set_registered_model_alias("aliased", "Best-so_far1", 1)
    client.set_registered_model_alias("aliased", "other", 1)
    client.set_registered_model_alias("aliased", "Best-so_far1", 2)
    assert client.get_registered_model("aliased").aliases == {"Best-so_far1": "2", "other": "1"}
    assert client.get_model_version("aliased", 2).aliases == ["Best-so_far1"]
    client.delete_registered_model_alias("aliased", "other")
    client.delete_registered_model_alias("aliased", "other")
    refused("INVALID_PARAMETER_VALUE", client.get_model_version_by_alias, "aliased", "other")
    refused("RESOURCE_DOES_NOT_EXIST", client.set_registered_model_alias, "aliased", "x", 9)
    for reserved in ["latest", "v2", "a b", "ä"]:
        refused("INVALID_PARAMETER_VALUE", client.set_registered_model_alias, "aliased", reserved, 1)


def test_models_and_versions_are_searched(client):
    for number, name in enumerate(["search-b", "search-a", "Search-C"]):
        client.create_registered_model(name, {"number": str(number), "kind": "searched"})
        version_of(client, name, tags={"kind": "searched", "number": str(number)})

    def models(filter, **more):
        return [model.name for model in client.search_registered_models(f"tags.kind = 'searched' AND {filter}", **more)]

    assert models("name LIKE 'search%'") == ["search-a", "search-b"]
    assert models("name ILIKE 'search-_'", order_by=["name DESC"]) == ["search-b", "search-a", "Search-C"]
    assert models("tags.number != '0'") == ["Search-C", "search-a"]
    assert models("name IN ('search-a', 'nothing')") == ["search-a"]
    assert models("name ILIKE '%'", order_by=["last_updated_timestamp DESC"])[0] == "Search-C"
    assert client.search_registered_models("name = 'search-a'")[0].latest_versions[0].version == "1"

    found, token = [], None
    while True:
        page = client.search_registered_models("tags.kind = 'searched'", max_results=2, page_token=token)
        found += [model.name for model in page]
        token = page.token
        if not token:
            break
    assert sorted(found) == ["Search-C", "search-a", "search-b"]

    versions = client.search_model_versions("tags.kind = 'searched'")
    assert [version.name for version in versions] == ["Search-C", "search-a", "search-b"], "the last changed comes first"
    one = client.search_model_versions(f"run_id = '{versions[0].run_id}'")
    assert [version.name for version in one] == ["Search-C"]
    assert len(client.search_model_versions("name = 'search-a' and version_number >= 1")) == 1
    assert client.search_model_versions("name = 'search-a' and version_number > 1") == []
    by_name = client.search_model_versions("tags.kind = 'searched'", order_by=["name DESC"])
    assert [version.name for version in by_name] == ["search-b", "search-a", "Search-C"]

    for bad in ["name = ", "size = 'x'", "params.a = 'b'", "name > 'a' OR name = 'b'", "tags.a IS NULL"]:
        refused("INVALID_PARAMETER_VALUE", client.search_registered_models, bad)
    refused("INVALID_PARAMETER_VALUE", client.search_registered_models, order_by=["size"])
    refused("INVALID_PARAMETER_VALUE", client.search_model_versions, "version_number = 'one'")


def test_a_version_is_copied_as_the_client_does_it(client):
    client.create_registered_model("original")
    first = version_of(client, "original", tags={"a": "b"}, description="the first")
    copy = client.copy_model_version(f"models:/original/{first.version}", "copied")
    assert (copy.name, int(copy.version), copy.run_id, copy.tags) == ("copied", 1, first.run_id, {"a": "b"})
    assert copy.source == "models:/original/1"
    uri = client.get_model_version_download_uri("copied", "1")
    assert uri == client.get_model_version_download_uri("original", "1")
    client.set_registered_model_alias("original", "best", 1)
    assert int(client.copy_model_version("models:/original@best", "copied").version) == 2


def test_a_source_that_points_elsewhere_is_refused(client):
    client.create_registered_model("sources")
    mine, other = logged_run(client), logged_run(client)
    inside = mine.info.artifact_uri
    elsewhere = [
        "/etc/passwd",
        "file:///etc/passwd",
        "http://example.org/model",
        "https://example.org/api/2.0/mlflow-artifacts/artifacts/0/x",
        "s3://bucket/model",
        "ftp://host/model",
        "models:/nothing/1",
        "models:/m-0123456789abcdef0123456789abcdef",
        f"{other.info.artifact_uri}/model",
        f"{inside}/../../{other.info.run_id}/artifacts/model",
        f"{inside}/%2e%2e/%2e%2e/x",
        f"{inside}/%252e%252e/x",
        inside.replace("mlflow-artifacts:/", "mlflow-artifacts://elsewhere:1/"),
        f"runs:/{other.info.run_id}/model",
        "mlflow-artifacts:/",
    ]
    for source in elsewhere:
        with pytest.raises(MlflowException) as error:
            client.create_model_version("sources", source, mine.info.run_id)
        assert error.value.error_code in ("INVALID_PARAMETER_VALUE", "RESOURCE_DOES_NOT_EXIST"), (source, error.value)
    with pytest.raises(MlflowException):
        client.create_model_version("sources", f"{inside}/model")
    assert client.search_model_versions("name = 'sources'") == []
    assert int(client.create_model_version("sources", f"runs:/{mine.info.run_id}/model", mine.info.run_id).version) == 1


def test_logged_models_begin_finish_are_searched_and_deleted(client):
    experiment = mlflow.create_experiment("logged")
    run = client.create_run(experiment)
    model = client.create_logged_model(
        experiment, name="net", source_run_id=run.info.run_id, tags={"a": "b"}, params={"depth": "3"}, model_type="tree"
    )
    assert model.status == "PENDING" and model.model_id.startswith("m-")
    assert model.artifact_location == f"mlflow-artifacts:/{experiment}/models/{model.model_id}/artifacts"
    client.log_model_params(model.model_id, {"width": "9"})
    client.set_logged_model_tags(model.model_id, {"c": "d"})
    client.delete_logged_model_tag(model.model_id, "a")
    client.log_metric(run.info.run_id, "auc", 0.75, model_id=model.model_id)
    assert client.finalize_logged_model(model.model_id, "READY").status == "READY"
    seen = client.get_logged_model(model.model_id)
    assert (seen.name, seen.params, seen.tags) == ("net", {"depth": "3", "width": "9"}, {"c": "d"})
    assert seen.source_run_id == run.info.run_id and seen.model_type == "tree"
    assert [(metric.key, metric.value) for metric in seen.metrics] == [("auc", 0.75)]
    with pytest.raises(MlflowException):
        client.log_model_params(model.model_id, {"depth": "4"})

    refused("RESOURCE_DOES_NOT_EXIST", client.log_metric, run.info.run_id, "zz", 1, model_id="m-nope")
    unknown = mlflow.entities.Metric("zz", 1, 1, 1, model_id="m-nope")
    refused("RESOURCE_DOES_NOT_EXIST", client.log_batch, run.info.run_id, [unknown])
    assert "zz" not in client.get_run(run.info.run_id).data.metrics

    other = client.create_logged_model(experiment, name="other")

    def search(filter, **more):
        return [found.name for found in client.search_logged_models([experiment], filter, **more)]

    assert search(None) == ["other", "net"]
    assert search("name = 'net' AND params.depth = '3' AND tags.c = 'd' AND metrics.auc > 0.7") == ["net"]
    assert search("metrics.auc > 0.8") == []
    again = client.create_run(experiment)
    client.log_metric(again.info.run_id, "auc", 0.1, model_id=model.model_id)
    client.log_metric(again.info.run_id, "auc", 0.5, model_id=model.model_id, step=2)
    for value in ["> 0.7", "< 0.2", "= 0.5"]:
        assert search(f"metrics.auc {value}") == ["net"], "any value of any run counts"
    assert search(f"creation_timestamp_ms >= {model.creation_timestamp} AND last_updated_timestamp_ms > 0 AND name = 'net'") == ["net"]
    assert search(f"experiment_id = '{experiment}'", max_results=5_000) == ["other", "net"]
    assert search(f"artifact_location = '{model.artifact_location}'") == ["net"]
    assert len(search(None, order_by=[{"field_name": "experiment_id"}, {"field_name": "artifact_location"}])) == 2
    assert search("model_type = 'tree' AND status = 'READY'") == ["net"]
    assert search(None, order_by=[{"field_name": "name"}]) == ["net", "other"]
    assert search(None, order_by=[{"field_name": "metrics.auc"}]) == ["net", "other"]
    page = client.search_logged_models([experiment], max_results=1)
    assert len(page) == 1 and page.token
    assert [m.name for m in client.search_logged_models([experiment], max_results=1, page_token=page.token)] == ["net"]

    client.delete_logged_model(other.model_id)
    refused("RESOURCE_DOES_NOT_EXIST", client.get_logged_model, other.model_id)
    assert search(None) == ["net"]
    for name in ["a/b", "a:b", "a.b"]:
        refused("INVALID_PARAMETER_VALUE", client.create_logged_model, experiment, name=name)


def test_a_deleted_experiment_takes_no_logged_model(client):
    experiment = mlflow.create_experiment("gone")
    client.delete_experiment(experiment)
    words = refused("INVALID_PARAMETER_VALUE", client.create_logged_model, experiment, name="late")
    assert "must be in the 'active' state" in words
    client.restore_experiment(experiment)
    assert client.create_logged_model(experiment, name="late").status == "PENDING"


def test_logged_models_are_ordered_by_what_was_measured_last(client):
    experiment = mlflow.create_experiment("ordered")
    first, second = [client.create_run(experiment).info.run_id for _ in range(2)]
    moved, steady = [client.create_logged_model(experiment, name=name).model_id for name in ["moved", "steady"]]
    client.log_metric(first, "auc", 0.9, timestamp=1_000, model_id=moved)
    client.log_metric(second, "auc", 0.1, timestamp=2_000, model_id=moved)
    client.log_metric(first, "auc", 0.5, timestamp=1_500, model_id=steady)
    found = client.search_logged_models([experiment], order_by=[{"field_name": "metrics.auc"}])
    assert [model.name for model in found] == ["moved", "steady"]


def test_what_a_metric_was_measured_on_has_bounds(client):
    experiment = mlflow.create_experiment("bounded")
    run_id = client.create_run(experiment).info.run_id
    model = client.create_logged_model(experiment, name="bounded").model_id
    for name, digest in [("n" * 70_000, "d"), ("n", "d" * 70_000), ("n" * 501, "d"), ("n", "d" * 37)]:
        on = {"model_id": model, "dataset_name": name, "dataset_digest": digest}
        words = refused("INVALID_PARAMETER_VALUE", client.log_metric, run_id, "auc", 0.5, **on)
        assert "exceeds the maximum length" in words
        batched = mlflow.entities.Metric("auc", 0.5, 1, 1, **on)
        refused("INVALID_PARAMETER_VALUE", client.log_batch, run_id, [batched])
    client.log_metric(run_id, "auc", 0.75, model_id=model, dataset_name="n" * 500, dataset_digest="d" * 36)
    [seen] = client.get_logged_model(model).metrics
    assert (seen.value, seen.dataset_name, seen.dataset_digest) == (0.75, "n" * 500, "d" * 36)
    refused("INVALID_PARAMETER_VALUE", client.search_logged_models, [experiment], f"metrics.`{'x' * 70_000}` > 1")


def test_a_logged_model_is_registered_served_by_alias_to_clients_and_seen_in_our_own_lists(server, client):
    with mlflow.start_run() as run:
        mlflow.log_metric("auc", 0.8)
        info = mlflow.pyfunc.log_model(name="model", python_model=Doubler(), registered_model_name="doubler")
    version = client.get_model_version("doubler", "1")
    # the client does not read the answer's model_id, which is why the source is looked at
    assert version.source == f"models:/{info.model_id}" and version.run_id == run.info.run_id
    client.set_registered_model_alias("doubler", "champion", 1)

    for uri in ["models:/doubler@champion", "models:/doubler/1", f"models:/{info.model_id}", info.model_uri]:
        loaded = mlflow.pyfunc.load_model(uri)
        assert list(loaded.predict({"x": [1, 2]})) == [2, 4], uri
    assert "python_function" in Model.load("models:/doubler/1").flavors
    own = {model["model"]: model for model in server.json("/api/v1/models")["items"]}
    assert own["doubler"]["champion"] == 1 and own["doubler"]["metrics"] == {"auc": 0.8}
    assert b"doubler" in server.get("/models") and b"python_function" in server.get("/models/doubler")
    listed = mainspring(server.folder, "list", "models")
    assert "doubler" in listed
    assert "doubler" in mainspring(server.folder, "list", "versions", "doubler")


GATED = {
    "mainspring.yaml": "project: gated\n",
    "data/flights.csv": "id,at,distance,late\n" + "".join(
        f"{n},2024-01-{n % 28 + 1:02d}T00:00:00Z,{n * 7 % 100},{'true' if n % 3 else 'false'}\n" for n in range(200)
    ),
}


def mainspring_project(tmp_path):
    """A project that declares a model `late`, whose gate asks for an AUC of 0.9."""
    for name, text in GATED.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    (tmp_path / "sources").mkdir()
    (tmp_path / "sources/flights.yaml").write_text(
        "source: flights\npath: data/flights.csv\nkey: [id]\nevent_time: at\ncolumns:\n"
        "  - {name: id, type: int64, nullable: false}\n  - {name: at, type: timestamp, nullable: false}\n"
        "  - {name: distance, type: float64}\n  - {name: late, type: bool}\n"
    )
    (tmp_path / "models").mkdir()
    (tmp_path / "models/late.yaml").write_text(
        "model: late\ntask: binary\nobservations: {from: flights, label: late}\nfeatures: [distance]\n"
        "trainer: {logistic_regression: {}}\npromote: manual\ngates:\n  - {metric: auc, min: 0.9}\n"
    )
    mainspring(tmp_path, "apply", "--yes")


def test_a_gate_that_the_project_declares_holds_for_clients(tmp_path):
    mainspring_project(tmp_path)
    with Server(tmp_path) as server:
        mlflow.set_tracking_uri(server.url)
        mlflow.set_registry_uri(server.url)
        client = MlflowClient()
        client.create_registered_model("late")
        version_of(client, "late", metrics={"auc": 0.85})
        version_of(client, "late", metrics={"auc": 0.95})
        version_of(client, "late")
        words = refused("PERMISSION_DENIED", client.set_registered_model_alias, "late", "champion", 1)
        assert "auc is 0.8500, the gate asks for at least 0.9" in words
        assert "auc was not measured" in refused(
            "PERMISSION_DENIED", client.set_registered_model_alias, "late", "champion", 3
        )
        client.set_registered_model_alias("late", "champion", 2)
        assert int(client.get_model_version_by_alias("late", "champion").version) == 2

        entries = server.json("/api/v1/audit")["items"]
        refusals = [entry for entry in entries if entry["outcome"] == "refused" and entry["action"] == "model.promote"]
        assert [entry["subject"] for entry in refusals] == ["model:late@3", "model:late@1"]
        refused("INVALID_PARAMETER_VALUE", client.rename_registered_model, "late", "early")
        refused("INVALID_PARAMETER_VALUE", client.delete_registered_model, "late")


def test_a_gate_is_not_passed_by_under_another_name(tmp_path):
    mainspring_project(tmp_path)
    with Server(tmp_path) as server:
        mlflow.set_tracking_uri(server.url)
        mlflow.set_registry_uri(server.url)
        client = MlflowClient()
        client.create_registered_model("free")
        version_of(client, "free", metrics={"auc": 0.1})
        client.set_registered_model_alias("free", "champion", 1)
        words = refused("PERMISSION_DENIED", client.rename_registered_model, "free", "late")
        assert "auc is 0.1000, the gate asks for at least 0.9" in words
        assert client.get_registered_model("free").aliases == {"champion": "1"}
        entries = server.json("/api/v1/audit")["items"]
        assert [e["subject"] for e in entries if (e["outcome"], e["action"]) == ("refused", "model.rename")] == ["model:free"]


def test_the_example_runs(server):
    example = pathlib.Path(__file__).parents[3] / "examples/clients/mlflow_models.py"
    # the client hands the address of its registry on to what it starts
    clean = {name: value for name, value in os.environ.items() if name not in ("MLFLOW_TRACKING_URI", "MLFLOW_REGISTRY_URI")}
    done = subprocess.run(
        [sys.executable, example, server.url], capture_output=True, text=True, timeout=PATIENCE, env=clean
    )
    assert done.returncode == 0, done.stderr
    assert "version 1 is champion; the first flower is of kind 0" in done.stdout


def test_what_was_acknowledged_is_there_after_kill(tmp_path):
    with Server(tmp_path) as server:
        mlflow.set_tracking_uri(server.url)
        mlflow.set_registry_uri(server.url)
        client = MlflowClient()
        client.create_registered_model("kept")
        version_of(client, "kept", tags={"a": "b"})
        client.set_registered_model_alias("kept", "champion", 1)
        run = client.get_model_version("kept", 1).run_id
        server.kill()
        with Server(tmp_path) as again:
            mlflow.set_tracking_uri(again.url)
            mlflow.set_registry_uri(again.url)
            client = MlflowClient()
            kept = client.get_model_version_by_alias("kept", "champion")
            assert kept.tags == {"a": "b"}
            assert mlflow.artifacts.load_text(f"runs:/{run}/model/model.pkl") == "not opened"

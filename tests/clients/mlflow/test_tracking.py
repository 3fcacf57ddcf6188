"""Experiments and runs through the unchanged MLflow client."""

import math
import os
import subprocess
import sys
import time

import mlflow
import mlflow.cli
import pytest
import requests
from click.testing import CliRunner
from harness import PATIENCE
from mlflow.entities import Metric, Param, RunTag, ViewType
from mlflow.exceptions import MlflowException
from mlflow.utils.time import get_current_time_millis


def error_of(raises):
    return raises.value.error_code, str(raises.value)


# experiments


def test_the_server_says_that_it_is_there(server):
    health = requests.get(server.url + "/health", timeout=PATIENCE)
    assert (health.status_code, health.text) == (200, "OK")
    assert requests.get(server.url + "/version", timeout=PATIENCE).text == mlflow.__version__


def test_the_default_experiment_is_there(client):
    default = client.get_experiment("0")
    assert (default.name, default.lifecycle_stage) == ("Default", "active")


def test_an_experiment_lives_and_comes_back(client):
    made = client.create_experiment("life", tags={"team": "blue"})
    assert made.isdigit()
    seen = client.get_experiment_by_name("life")
    assert (seen.experiment_id, seen.tags, seen.artifact_location) == (made, {"team": "blue"}, f"mlflow-artifacts:/{made}")

    client.rename_experiment(made, "second life")
    assert client.get_experiment(made).name == "second life"
    assert client.get_experiment_by_name("life") is None

    client.delete_experiment(made)
    assert client.get_experiment(made).lifecycle_stage == "deleted"
    with pytest.raises(MlflowException, match="must be in the 'active' state"):
        client.create_run(made)
    client.restore_experiment(made)
    assert client.get_experiment(made).lifecycle_stage == "active"

    client.set_experiment_tag(made, "team", "red")
    assert client.get_experiment(made).tags == {"team": "red"}
    client.delete_experiment_tag(made, "team")
    assert client.get_experiment(made).tags == {}


def test_a_name_is_taken_once(client):
    client.create_experiment("taken")
    with pytest.raises(MlflowException) as raises:
        client.create_experiment("taken")
    code, words = error_of(raises)
    assert code == "RESOURCE_ALREADY_EXISTS" and "Experiment(name=taken) already exists" in words
    other = client.create_experiment("to be renamed")
    with pytest.raises(MlflowException) as raises:
        client.rename_experiment(other, "taken")
    assert error_of(raises)[0] == "RESOURCE_ALREADY_EXISTS"


def test_what_is_not_there_is_said_so(client):
    with pytest.raises(MlflowException, match="No Experiment with id=1337 exists") as raises:
        client.get_experiment("1337")
    assert error_of(raises)[0] == "RESOURCE_DOES_NOT_EXIST"
    with pytest.raises(MlflowException, match="Run with id=nothing not found") as raises:
        client.get_run("nothing")
    assert error_of(raises)[0] == "RESOURCE_DOES_NOT_EXIST"


def test_experiments_are_searched(client):
    ids = {name: client.create_experiment(f"search/{name}", tags={"kind": name[0]}) for name in ["a1", "a2", "b1"]}

    def found(**words):
        return [e.name.removeprefix("search/") for e in client.search_experiments(**words)]

    assert found(filter_string="name LIKE 'search/%'", order_by=["name"]) == ["a1", "a2", "b1"]
    assert found(filter_string="name LIKE 'search/%' AND tags.kind = 'a'", order_by=["name DESC"]) == ["a2", "a1"]
    assert found(filter_string="name ILIKE 'SEARCH/B%'") == ["b1"]
    client.delete_experiment(ids["a1"])
    assert found(filter_string="name = 'search/a1'") == []
    assert found(filter_string="name = 'search/a1'", view_type=ViewType.DELETED_ONLY) == ["a1"]

    page = client.search_experiments(max_results=1, filter_string="name LIKE 'search/%'", view_type=ViewType.ALL)
    pages = [page[0].name]
    while page.token:
        page = client.search_experiments(
            max_results=1, filter_string="name LIKE 'search/%'", view_type=ViewType.ALL, page_token=page.token
        )
        pages += [e.name for e in page]
    assert sorted(pages) == ["search/a1", "search/a2", "search/b1"]
    with pytest.raises(MlflowException, match="Invalid attribute key"):
        client.search_experiments(filter_string="nothing = 'x'")


# runs


def test_a_run_from_start_to_end(client, experiment):
    with mlflow.start_run(experiment_id=experiment, run_name="first", tags={"colour": "blue"}) as active:
        mlflow.log_param("depth", 3)
        mlflow.log_params({"rate": 0.1, "kind": "trees"})
        mlflow.log_metric("loss", 0.5, step=1)
        mlflow.log_metrics({"loss": 0.25, "auc": 0.9}, step=2)
        mlflow.set_tag("colour", "red")
    run = client.get_run(active.info.run_id)
    assert (run.info.status, run.info.run_name, run.info.lifecycle_stage) == ("FINISHED", "first", "active")
    assert run.info.artifact_uri == f"mlflow-artifacts:/{experiment}/{run.info.run_id}/artifacts"
    assert len(run.info.run_id) == 32 and run.info.end_time >= run.info.start_time
    assert run.data.params == {"depth": "3", "rate": "0.1", "kind": "trees"}
    assert run.data.metrics == {"loss": 0.25, "auc": 0.9}
    assert run.data.tags["colour"] == "red" and run.data.tags["mlflow.runName"] == "first"
    client.delete_tag(run.info.run_id, "colour")
    assert "colour" not in client.get_run(run.info.run_id).data.tags
    client.update_run(run.info.run_id, name="renamed")
    assert client.get_run(run.info.run_id).info.run_name == "renamed"


def test_a_run_without_a_name_gets_one(client, experiment):
    run = client.create_run(experiment)
    assert run.info.run_name and run.data.tags["mlflow.runName"] == run.info.run_name


def test_a_run_that_failed_is_taken_up_again(client, experiment):
    with pytest.raises(ZeroDivisionError), mlflow.start_run(experiment_id=experiment) as active:
        1 / 0
    run_id = active.info.run_id
    assert client.get_run(run_id).info.status == "FAILED"
    with mlflow.start_run(run_id=run_id):
        assert client.get_run(run_id).info.status == "RUNNING"
    assert client.get_run(run_id).info.status == "FINISHED"
    client.set_terminated(run_id, status="KILLED")
    assert client.get_run(run_id).info.status == "KILLED"


def test_params_do_not_change(client, experiment):
    run_id = client.create_run(experiment).info.run_id
    client.log_param(run_id, "depth", 3)
    client.log_param(run_id, "depth", 3)
    with pytest.raises(MlflowException, match="Changing param values is not allowed") as raises:
        client.log_param(run_id, "depth", 5)
    code, words = error_of(raises)
    assert code == "INVALID_PARAMETER_VALUE" and "logged with value='3'" in words and "new value '5'" in words
    with pytest.raises(MlflowException, match="Changing param values is not allowed"):
        client.log_batch(run_id, params=[Param("new", "1"), Param("depth", "7")])
    assert client.get_run(run_id).data.params == {"depth": "3"}, "a refused batch leaves nothing"


def test_deleted_runs_take_nothing_and_come_back(client, experiment):
    run_id = client.create_run(experiment).info.run_id
    client.delete_run(run_id)
    assert client.get_run(run_id).info.lifecycle_stage == "deleted"
    for log in (lambda: client.log_metric(run_id, "a", 1), lambda: client.set_tag(run_id, "a", "1")):
        with pytest.raises(MlflowException, match="must be in the 'active' state"):
            log()
    assert client.search_runs([experiment]) == []
    assert [r.info.run_id for r in client.search_runs([experiment], run_view_type=ViewType.DELETED_ONLY)] == [run_id]
    client.restore_run(run_id)
    client.log_metric(run_id, "a", 1)
    assert client.get_run(run_id).data.metrics == {"a": 1.0}


def test_runs_nest(client, experiment):
    with mlflow.start_run(experiment_id=experiment) as parent:
        with mlflow.start_run(experiment_id=experiment, nested=True) as child:
            mlflow.log_param("inner", 1)
    tagged = client.search_runs([experiment], filter_string=f"tags.mlflow.parentRunId = '{parent.info.run_id}'")
    assert [run.info.run_id for run in tagged] == [child.info.run_id]
    assert mlflow.get_parent_run(child.info.run_id).info.run_id == parent.info.run_id


def test_limits_are_said_as_mlflow_says_them(server, client, experiment):
    run_id = client.create_run(experiment).info.run_id
    now = get_current_time_millis()

    def post(path, **body):
        answer = requests.post(f"{server.url}/api/2.0/mlflow/{path}", json=body, timeout=PATIENCE)
        assert answer.status_code == 400, answer.text
        assert answer.json()["error_code"] == "INVALID_PARAMETER_VALUE"
        return answer.json()["message"]

    metric = {"key": "a", "value": 1, "timestamp": now, "step": 0}
    assert "at most 1000 metrics. Got 1001" in post("runs/log-batch", run_id=run_id, metrics=[metric] * 1001)
    params = [{"key": f"p{i}", "value": "1"} for i in range(101)]
    assert "at most 100 params. Got 101" in post("runs/log-batch", run_id=run_id, params=params)
    many = post("runs/log-batch", run_id=run_id, metrics=[metric] * 950, params=params[:51])
    assert "at most 1000 metrics, params, and tags. Got 1001" in many
    twice = [{"key": "p", "value": "1"}, {"key": "p", "value": "2"}]
    assert "Duplicate parameter keys" in post("runs/log-batch", run_id=run_id, params=twice)
    assert "Missing value for required parameter 'name'." in post("experiments/create")
    assert "Invalid value 123 for parameter 'name' supplied" in post("experiments/create", name=123)
    assert "Missing value for required parameter 'key'." in post("runs/log-metric", run_id=run_id, value=1, timestamp=1)
    assert 'Invalid value "x" for parameter' in post("runs/log-metric", run_id=run_id, key="a", value="x", timestamp=1)
    assert "Names may only contain" in post("runs/set-tag", run_id=run_id, key="a;b", value="1")
    assert "must not resolve to other names" in post("runs/log-parameter", run_id=run_id, key="a/../b", value="1")
    assert "exceeds the maximum length of 250" in post("runs/set-tag", run_id=run_id, key="k" * 251, value="1")
    for path, words in [("experiments/update", {}), ("experiments/update", {"new_name": ""})]:
        assert "Missing value for required parameter 'new_name'." in post(path, experiment_id=experiment, **words)
    assert "'experiment_ids'" in post("runs/search", experiment_ids=experiment)
    assert "'order_by'" in post("runs/search", experiment_ids=[experiment], order_by="start_time")
    large = post("runs/log-batch", run_id=run_id, tags=[{"key": "a", "value": "x" * 1_000_000}])
    assert "must be at most 1000000 bytes" in large
    assert client.get_run(run_id).data.metrics == {} and client.get_run(run_id).data.params == {}


def test_long_params_and_tags_are_cut(server, client, experiment):
    def post(path, **body):
        answer = requests.post(f"{server.url}/api/2.0/mlflow/{path}", json=body, timeout=PATIENCE)
        assert answer.status_code == 200, answer.text
        return answer.json()

    tags = [{"key": "made", "value": "t" * 8_001}]
    run_id = post("runs/create", experiment_id=experiment, tags=tags)["run"]["info"]["run_id"]
    for _ in range(2):
        post("runs/log-parameter", run_id=run_id, key="one", value="\u00e4" * 6_001)
    post("runs/log-batch", run_id=run_id, params=[{"key": "one", "value": "\u00e4" * 7_000}, {"key": "two", "value": "p" * 6_001}])
    post("runs/set-tag", run_id=run_id, key="set", value="t" * 8_001)
    post("runs/log-batch", run_id=run_id, tags=[{"key": "batched", "value": "t" * 8_001}])
    data = client.get_run(run_id).data
    assert data.params == {"one": "\u00e4" * 6_000, "two": "p" * 6_000}
    assert {data.tags[key] for key in ["made", "set", "batched"]} == {"t" * 8_000}


def test_the_tag_of_a_name_renames_the_run(client, experiment):
    run_id = client.create_run(experiment, run_name="first").info.run_id
    client.set_tag(run_id, "mlflow.runName", "second")
    assert client.get_run(run_id).info.run_name == "second"
    client.log_batch(run_id, tags=[RunTag("mlflow.runName", "third")])
    assert client.get_run(run_id).info.run_name == "third"
    assert [run.info.run_id for run in client.search_runs([experiment], "run_name = 'third'")] == [run_id]


def test_an_experiment_is_deleted_once_and_restored_once(client, experiment):
    def refused(call):
        with pytest.raises(MlflowException) as raises:
            call(experiment)
        assert error_of(raises)[0] == "RESOURCE_DOES_NOT_EXIST"

    refused(client.restore_experiment)
    client.delete_experiment(experiment)
    refused(client.delete_experiment)
    client.restore_experiment(experiment)


def test_a_run_that_is_not_there_has_no_history(server, client):
    assert client.get_metric_history("nothing", "loss") == []
    url = server.url + "/ajax-api/2.0/mlflow/metrics/"
    for path in ["get-history-bulk?run_id=nothing&metric_key=a", "get-history-bulk-interval?run_ids=nothing&metric_key=a"]:
        answer = requests.get(url + path, timeout=PATIENCE)
        assert (answer.status_code, answer.json()) == (200, {"metrics": []}), answer.text


def test_what_we_do_not_have_is_named(server):
    for method, path, status in [
        ("GET", "/api/3.0/mlflow/traces/tr-1", 501),
        ("POST", "/api/3.0/mlflow/scorers/register", 501),
        ("GET", "/api/2.0/mlflow/nothing/of/that", 404),
        ("POST", "/ajax-api/2.0/mlflow/nothing", 404),
        ("GET", "/api/2.0/mlflow/runs/create", 405),
    ]:
        answer = requests.request(method, server.url + path, timeout=PATIENCE)
        assert answer.status_code == status and path in answer.json()["message"], answer.text
    url = server.url + "/api/2.0/mlflow/experiments/create"
    cut = requests.post(url, data='{"name": "x', headers={"content-type": "application/json"}, timeout=PATIENCE)
    assert (cut.status_code, cut.json()["error_code"]) == (400, "BAD_REQUEST")
    form = requests.post(url, data={"name": "x"}, timeout=PATIENCE)
    assert form.status_code == 415 and "application/json" in form.json()["message"]
    large = requests.post(url, data=b" " * (33 << 20), headers={"content-type": "application/json"}, timeout=PATIENCE)
    assert large.status_code == 413 and large.json()["error_code"] == "BAD_REQUEST"
    deep = requests.post(url, data="[" * 100_000, headers={"content-type": "application/json"}, timeout=PATIENCE)
    assert deep.status_code == 400


def test_who_is_refused_is_told_in_mlflows_form(server):
    path = server.url + "/api/2.0/mlflow/experiments/get?experiment_id=0"
    key = requests.get(path, headers={"authorization": "Bearer no-such-key"}, timeout=PATIENCE)
    assert (key.status_code, key.json()["error_code"]) == (401, "UNAUTHENTICATED"), key.text
    host = requests.get(path, headers={"host": "elsewhere.example"}, timeout=PATIENCE)
    assert (host.status_code, host.json()["error_code"]) == (403, "PERMISSION_DENIED"), host.text


# metrics


def test_history_keeps_every_point(client, experiment):
    run_id = client.create_run(experiment).info.run_id
    for step in [3, 1, 2]:
        client.log_metric(run_id, "loss", step / 10, timestamp=1_000 + step, step=step)
    client.log_metric(run_id, "loss", 0.9, timestamp=2_000, step=3)
    history = client.get_metric_history(run_id, "loss")
    points = [(p.step, p.timestamp, p.value) for p in history]
    assert points == [(1, 1_001, 0.1), (2, 1_002, 0.2), (3, 1_003, 0.3), (3, 2_000, 0.9)]
    assert client.get_run(run_id).data.metrics == {"loss": 0.9}, "the highest step and time is the latest"
    assert client.get_metric_history(run_id, "unknown") == []
    # the same point again is the same point
    client.log_metric(run_id, "loss", 0.9, timestamp=2_000, step=3)
    assert len(client.get_metric_history(run_id, "loss")) == 4


def test_a_history_goes_by_time_and_its_latest_by_step(server, client, experiment):
    run_id = client.create_run(experiment).info.run_id
    late = [(7, 3), (5, 4), (9, 1), (6, 2), (6, 1), (8, 9)]
    for step, timestamp in late:
        client.log_metric(run_id, "loss", step / 10, timestamp=timestamp, step=step)
    by_time = [(step, timestamp) for timestamp, step in sorted((timestamp, step) for step, timestamp in late)]
    assert [(p.step, p.timestamp) for p in client.get_metric_history(run_id, "loss")] == by_time
    paged, token = [], ""
    while token is not None:
        words = {"run_id": run_id, "metric_key": "loss", "max_results": 2, "page_token": token}
        page = requests.get(f"{server.url}/api/2.0/mlflow/metrics/get-history", params=words, timeout=PATIENCE).json()
        paged += [(p["step"], p["timestamp"]) for p in page["metrics"]]
        token = page.get("next_page_token")
    assert paged == by_time
    sampled = f"{server.url}/ajax-api/2.0/mlflow/metrics/get-history-bulk-interval?run_ids={run_id}&metric_key=loss"
    by_step = [p["step"] for p in requests.get(sampled, timeout=PATIENCE).json()["metrics"]]
    assert by_step == sorted(step for step, _ in late)
    assert client.get_run(run_id).data.metrics == {"loss": 0.9}, "the highest step is the latest"


def test_nan_and_infinities(client, experiment):
    run_id = client.create_run(experiment).info.run_id
    for key, value in {"nan": math.nan, "inf": math.inf, "ninf": -math.inf}.items():
        client.log_metric(run_id, key, value)
    client.log_batch(run_id, metrics=[Metric("batched", math.nan, 1, 1), Metric("steps", math.inf, 1, 1)])
    metrics = client.get_run(run_id).data.metrics
    assert math.isnan(metrics["nan"]) and math.isnan(metrics["batched"])
    assert metrics["inf"] == metrics["steps"] == 1.7976931348623157e308 and metrics["ninf"] == -1.7976931348623157e308
    assert math.isnan(client.get_metric_history(run_id, "nan")[0].value)
    client.set_terminated(run_id)
    assert math.isnan(client.get_run(run_id).data.metrics["nan"])


def test_history_in_pages_in_bulk_and_thinned_out(server, client, experiment):
    runs = [client.create_run(experiment).info.run_id for _ in range(2)]
    for run_id in runs:
        for start in range(0, 3_000, 1_000):
            client.log_batch(run_id, [Metric("m", float(i), i, i) for i in range(start, start + 1_000)])
    url = server.url + "/ajax-api/2.0/mlflow/metrics/"

    def get(path, **words):
        answer = requests.get(url + path, params=words, timeout=PATIENCE)
        assert answer.status_code == 200, answer.text
        return answer.json()

    steps, token = [], ""
    while True:
        page = get("get-history", run_id=runs[0], metric_key="m", max_results=700, page_token=token)
        steps += [p["step"] for p in page["metrics"]]
        if not (token := page.get("next_page_token")):
            break
    assert steps == list(range(3_000))

    bulk = get("get-history-bulk", run_id=runs, metric_key="m", max_results=4_000)["metrics"]
    assert len(bulk) == 4_000 and {p["run_id"] for p in bulk} == set(runs)

    sampled = get("get-history-bulk-interval", run_ids=runs, metric_key="m", max_results=100)["metrics"]
    first = [p["step"] for p in sampled if p["run_id"] == runs[0]]
    assert len(sampled) == 200 and (first[0], first[-1]) == (0, 2_999) and first == sorted(first)
    part = get("get-history-bulk-interval", run_ids=runs[0], metric_key="m", start_step=10, end_step=12)["metrics"]
    assert [p["step"] for p in part] == [10, 11, 12]
    too_many = url + "get-history-bulk-interval?run_ids=a&metric_key=m&max_results=9999"
    assert requests.get(too_many, timeout=PATIENCE).status_code == 400


# searches


@pytest.fixture
def searched(client, experiment):
    """Four runs, `a` to `d`, started one after the other."""
    ids = {}
    for at, (name, auc, kind) in enumerate([("a", 0.5, "trees"), ("b", 0.9, "Trees"), ("c", math.nan, "linear"), ("d", None, None)]):
        run = client.create_run(experiment, run_name=name, start_time=1_000 + at)
        if auc is not None:
            client.log_metric(run.info.run_id, "auc on test", auc)
        if kind:
            client.log_param(run.info.run_id, "kind", kind)
            client.set_tag(run.info.run_id, "kind", kind)
        ids[name] = run.info.run_id
    client.set_terminated(ids["a"])
    return experiment, ids


@pytest.mark.parametrize(
    ("filter_string", "names"),
    [
        ("", "dcba"),
        ("metrics.`auc on test` > 0.6", "b"),
        ('metrics."auc on test" <= 0.9 and metrics."auc on test" >= 0.5', "ba"),
        ("metrics.'auc on test' > 0.6", "b"),
        ("params.kind = 'trees'", "a"),
        ("params.kind != 'trees'", "cb"),
        ("params.kind LIKE '%rees'", "ba"),
        ("params.kind ILIKE 'TREES'", "ba"),
        ("tags.kind IS NULL", "d"),
        ("params.kind IS NOT NULL", "cba"),
        ("attributes.status = 'FINISHED'", "a"),
        ("status != 'FINISHED' AND attribute.start_time >= 1002", "dc"),
        ("run_name = 'b'", "b"),
        ("attributes.`Run name` LIKE '_'", "dcba"),
        ("end_time > 0", "a"),
        ("created < 1002", "ba"),
        ("artifact_uri LIKE 'mlflow-artifacts:/%'", "dcba"),
    ],
)
def test_the_filter_grammar(client, searched, filter_string, names):
    experiment, _ = searched
    assert "".join(r.info.run_name for r in client.search_runs([experiment], filter_string)) == names


def test_runs_are_found_by_id_lists_and_ordered(client, searched):
    experiment, ids = searched

    def names(filter_string="", **words):
        return "".join(r.info.run_name for r in client.search_runs([experiment], filter_string, **words))

    assert names(f"run_id IN ('{ids['a']}', '{ids['c']}')") == "ca"
    assert names(f"run_id IN ('{ids['a']}',)") == "a"
    assert names(f"attributes.run_id NOT IN ('{ids['a']}')") == "dcb"
    assert names(order_by=["metrics.`auc on test` DESC"]) == "bacd", "NaN and what is absent come last"
    assert names(order_by=["metrics.`auc on test` ASC"]) == "abcd"
    assert names(order_by=["params.kind", "start_time DESC"]) == "bcad", "upper case comes before lower"
    assert names(order_by=["attributes.start_time"]) == "abcd"
    page = client.search_runs([experiment], max_results=3, order_by=["metrics.`auc on test` DESC"])
    rest = client.search_runs([experiment], max_results=3, order_by=["metrics.`auc on test` DESC"], page_token=page.token)
    assert [len(page), len(rest), rest.token] == [3, 1, None] or [len(page), len(rest), rest.token] == [3, 1, ""]
    for bad in ["metrics.a = 'x'", "params.a > '1'", "status = 1", "foo.bar = 'x'", "metrics.a > 1 OR metrics.b > 1", "x y z"]:
        with pytest.raises(MlflowException) as raises:
            names(bad)
        assert error_of(raises)[0] == "INVALID_PARAMETER_VALUE", bad


def test_a_filter_of_a_million_elements_is_refused(server, experiment):
    words = "run_id IN (" + ",".join(["'a'"] * 1_000_000) + ")"
    body = {"experiment_ids": [experiment], "filter": words}
    answer = requests.post(server.url + "/api/2.0/mlflow/runs/search", json=body, timeout=PATIENCE)
    assert answer.status_code == 400 and "filter string has more than" in answer.json()["message"]


def test_runs_become_a_data_frame(client, searched):
    experiment, _ = searched
    frame = mlflow.search_runs([experiment], order_by=["start_time"])
    assert list(frame["tags.mlflow.runName"]) == list("abcd")
    assert list(frame["params.kind"][:3]) == ["trees", "Trees", "linear"]
    assert frame["metrics.auc on test"][1] == 0.9


# datasets


def test_datasets_are_inputs_of_runs(server, client, experiment):
    import pandas

    frame = pandas.DataFrame({"x": [1.0, 2.0], "y": [0, 1]})
    dataset = mlflow.data.from_pandas(frame, source="https://example.com/x.csv", name="flights", targets="y")
    with mlflow.start_run(experiment_id=experiment) as active:
        mlflow.log_input(dataset, context="training", tags={"part": "first"})
        mlflow.log_input(dataset, context="training")
    [read] = client.get_run(active.info.run_id).inputs.dataset_inputs
    assert (read.dataset.name, read.dataset.digest) == ("flights", dataset.digest)
    assert '"x"' in read.dataset.schema and read.dataset.source_type
    assert {t.key: t.value for t in read.tags} == {"mlflow.data.context": "training", "part": "first"}

    def found(filter_string):
        return [r.info.run_id for r in client.search_runs([experiment], filter_string)]

    assert found("dataset.name = 'flights'") == found("datasets.context = 'training'") == [active.info.run_id]
    assert found(f"dataset.digest IN ('{dataset.digest}')") == [active.info.run_id]
    assert found("dataset.name = 'other'") == []
    url = server.url + "/ajax-api/2.0/mlflow/experiments/search-datasets"
    [summary] = requests.post(url, json={"experiment_ids": [experiment]}, timeout=PATIENCE).json()["dataset_summaries"]
    assert summary == {"experiment_id": experiment, "name": "flights", "digest": dataset.digest, "context": "training"}


# the rest of the platform


def test_runs_are_first_class(server, client, experiment):
    run_id = client.create_run(experiment, run_name="shown everywhere").info.run_id
    for step in range(5):
        client.log_metric(run_id, "loss", 1 / (step + 1), step=step)
    client.set_terminated(run_id)
    seen = server.json(f"/api/v1/runs/{run_id}")
    assert (seen["status"], seen["metrics"]["loss"], seen["name"]) == ("succeeded", 0.2, "shown everywhere")
    assert [point[0] for curve in seen["curves"] for point in curve["points"]] == [0, 1, 2, 3, 4]
    assert "shown everywhere" in server.get("/runs").decode()
    actions = [entry["action"] for entry in server.json(f"/api/v1/audit?subject=run:{run_id}")["items"]]
    assert "run.start" in actions and "run.end" in actions


def test_command_lines(server, client, experiment):
    run_id = client.create_run(experiment, run_name="by command").info.run_id
    environment = {**os.environ, "MLFLOW_TRACKING_URI": server.url}
    line = [sys.executable, "-m", "mlflow", "runs", "list", "--experiment-id", experiment]
    done = subprocess.run(line, env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0 and "by command" in done.stdout, done.stderr

    def command(*words):
        # the same entry point, without the many seconds that a process takes to import it
        done = CliRunner().invoke(mlflow.cli.cli, words, env=environment)
        assert done.exit_code == 0, done.output
        return done.output

    assert run_id in command("runs", "describe", "--run-id", run_id)
    command("experiments", "create", "--experiment-name", "by command")
    assert "by command" in command("experiments", "search")
    command("runs", "delete", "--run-id", run_id)
    assert client.get_run(run_id).info.lifecycle_stage == "deleted"


def test_the_example_runs(server):
    example = os.path.join(os.path.dirname(__file__), "../../../examples/clients/mlflow_tracking.py")
    done = subprocess.run([sys.executable, example, server.url], capture_output=True, text=True, timeout=PATIENCE)
    assert done.returncode == 0, done.stderr
    assert "best" in done.stdout


def test_time_is_not_made_up(client, experiment):
    before = int(time.time() * 1000)
    run = mlflow.start_run(experiment_id=experiment)
    mlflow.end_run()
    assert before <= client.get_run(run.info.run_id).info.start_time <= int(time.time() * 1000)


def test_tags_and_params_in_one_batch(client, experiment):
    run_id = client.create_run(experiment).info.run_id
    metrics = [Metric("m", 1.0, 1, 1), Metric("m", 2.0, 1, 2)]
    client.log_batch(run_id, metrics, [Param("p", "1"), Param("empty", "")], [RunTag("t", "1")])
    data = client.get_run(run_id).data
    assert (data.metrics, data.params, data.tags["t"]) == ({"m": 2.0}, {"p": "1", "empty": ""}, "1")

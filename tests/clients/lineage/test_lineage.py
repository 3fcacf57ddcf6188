"""OpenLineage both ways: what the server tells is what the specification allows, and what others tell joins its graph."""

import copy
import gzip
import http.server
import json
import os
import pathlib
import re
import subprocess
import sys
import threading
import urllib.error
import urllib.parse
import uuid

import pytest
import referencing.exceptions
import requests
from jsonschema import ValidationError
from openlineage.client import OpenLineageClient
from openlineage.client.event_v2 import (
    DatasetEvent,
    InputDataset,
    Job,
    JobEvent,
    OutputDataset,
    Run,
    RunEvent,
    RunState,
    StaticDataset,
)
from openlineage.client.facet_v2 import documentation_job, symlinks_dataset
from openlineage.client.serde import Serde
from openlineage.client.transport.http import HttpCompression, HttpConfig, HttpTransport
from schemas import NOT_CARRIED, facets_of, schemas, validate_run_event
from specification import check_run_event

from harness import PATIENCE, Server, mainspring, waited

PRODUCER = "https://example.com/etl"
SCRIPT = pathlib.Path(__file__).parents[3] / "examples/clients/openlineage_events.py"


class Receiver:
    """Takes events as Marquez would; answers with `status`, and only once it is to."""

    def __init__(self):
        self.events, self.status, receiver = [], 201, self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                body = self.rfile.read(int(self.headers["content-length"]))
                if receiver.status < 300:
                    receiver.events.append(json.loads(body))
                self.send_response(receiver.status)
                self.send_header("content-length", "0")
                self.end_headers()

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        self.url = f"http://127.0.0.1:{self.server.server_port}/api/v1/lineage"

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.server.shutdown()
        self.server.server_close()


def project(folder, lineage):
    folder.mkdir(parents=True, exist_ok=True)
    mainspring(folder, "init", "--name", "shop")
    file = folder / "mainspring.yaml"
    text = re.sub(r"(?ms)^targets:.*?(?=^\S|\Z)", "", file.read_text())
    file.write_text(f"{text}\ntargets:\n  dev:\n    lineage: {json.dumps(lineage)}\n")
    mainspring(folder, "apply")
    return folder


def of_task(events, job, kind):
    found = [event for event in events if event["job"]["name"] == job and event["eventType"] == kind]
    assert found, f"no {kind} of {job} among {[(event['job']['name'], event['eventType']) for event in events]}"
    return found[-1]


@pytest.fixture(scope="module")
def told(tmp_path_factory):
    """A project whose first run was told to a receiver: its folder and the events."""
    with Receiver() as receiver:
        folder = project(tmp_path_factory.mktemp("told") / "shop", {"url": receiver.url})
        ran = json.loads(mainspring(folder, "run", "--json"))
        yield folder, receiver.events, ran


def columns_of(dataset):
    """The columns of a dataset, in so far as it has a schema."""
    return {field["name"] for field in dataset["facets"].get("schema", {"fields": []})["fields"]}


def test_every_task_of_a_run_begins_and_ends_as_the_specification_says(told):
    _, events, ran = told
    for event in events:
        check_run_event(event)
    tasks = {f"{task['task']['kind']}.{task['task']['name']}" for task in ran["tasks"]}
    assert len(tasks) >= 5
    for task in tasks:
        kinds = [event["eventType"] for event in events if event["job"]["name"] == task]
        assert kinds == ["START", "COMPLETE"], (task, kinds)
        runs = {event["run"]["runId"] for event in events if event["job"]["name"] == task}
        assert len(runs) == 1, "one task is one run"
    assert {event["run"]["facets"]["parent"]["run"]["runId"] for event in events} == {ran["run"]["id"]}
    assert all("nominalTime" in event["run"]["facets"] for event in events)


@pytest.mark.parametrize(
    ("path", "value", "words"),
    [
        (("run", "runId"), None, "'runId' is a required property"),
        (("run", "runId"), "42", "is not a 'uuid'"),
        (("eventTime",), "yesterday", "is not a 'date-time'"),
        (("producer",), "no address", "is not a 'uri'"),
        (("eventType",), "DONE", "is not one of"),
        (("job", "name"), None, "'name' is a required property"),
        (("run", "facets", "parent", "_producer"), None, "is not valid under any of the given schemas"),
        (("run", "facets", "processing_engine", "version"), 1, "is not of type 'string'"),
        (("outputs", 0, "facets", "schema", "fields"), {}, "is not of type 'array'"),
        (("outputs", 0, "facets", "columnLineage", "fields", "amount", "inputFields"), None, "'inputFields' is a required"),
        (("outputs", 0, "outputFacets", "outputStatistics", "rowCount"), "many", "is not of type 'integer'"),
    ],
)
def test_the_schemas_refuse_what_is_no_event(told, path, value, words):
    _, events, _ = told
    event = copy.deepcopy(of_task(events, "ingest.orders", "COMPLETE"))
    validate_run_event(event)
    *way, last = path
    place = event
    for step in way:
        place = place[step]
    if value is None:
        del place[last]
    else:
        place[last] = value

    with pytest.raises(ValidationError, match=re.escape(words)):
        validate_run_event(event)


def test_a_facet_whose_schema_is_not_at_hand_is_refused_and_not_fetched(told):
    _, events, _ = told
    event = copy.deepcopy(of_task(events, "ingest.orders", "COMPLETE"))
    event["run"]["facets"]["processing_engine"]["_schemaURL"] = "https://openlineage.io/spec/facets/9-9-9/NoRunFacet.json"

    with pytest.raises(referencing.exceptions.Unresolvable):
        validate_run_event(event)


def test_each_facet_that_has_no_schema_at_hand_is_one_of_ours_and_no_schema_of_the_crate(told):
    _, events, _ = told
    ours = {facet["_schemaURL"].partition("#")[0] for event in events for facet in facets_of(event)}

    assert NOT_CARRIED <= ours
    assert not NOT_CARRIED & set(schemas())
    assert len(ours - NOT_CARRIED) >= 5, ours - NOT_CARRIED


def test_events_name_versions_schemas_columns_and_quality(told):
    folder, events, _ = told
    (output, *_) = of_task(events, "ingest.orders", "COMPLETE")["outputs"]
    assert output["namespace"] == "file"
    assert output["name"] == str((folder / ".mainspring/lake/sources/orders").resolve())
    facets = output["facets"]
    assert int(facets["version"]["datasetVersion"]) >= 0
    names = [field["name"] for field in facets["schema"]["fields"]]
    assert {"customer", "amount"} <= set(names)
    metrics = facets["dataQualityMetrics"]["columnMetrics"]
    assert metrics["amount"]["min"] < metrics["amount"]["max"] and metrics["amount"]["nullCount"] == 0
    assert output["outputFacets"]["outputStatistics"]["rowCount"] > 0
    from_file = facets["columnLineage"]["fields"]["amount"]["inputFields"][0]
    assert from_file["name"].endswith(".csv") and from_file["field"] == "amount"

    views = [event for event in events if event["job"]["name"].startswith("backfill.") and event["eventType"] == "COMPLETE"]
    assert views
    for event in views:
        (written,) = event["outputs"]
        assert written["facets"]["columnLineage"]["fields"]
        assert all("version" in dataset["facets"] for dataset in event["inputs"])
    led_back = 0
    for event in events:
        read = {(dataset["namespace"], dataset["name"]): dataset for dataset in event["inputs"]}
        for written in event["outputs"]:
            made = written["facets"].get("columnLineage", {"fields": {}})["fields"]
            assert set(made) <= columns_of(written), (event["job"]["name"], set(made) - columns_of(written))
            for field in (field for column in made.values() for field in column["inputFields"]):
                known = read[field["namespace"], field["name"]]
                assert "schema" not in known["facets"] or field["field"] in columns_of(known), (event["job"]["name"], field)
                led_back += 1
    assert led_back > 10

    trained = of_task(events, "train.returns", "COMPLETE")
    model = next(dataset for dataset in trained["outputs"] if dataset["name"] == "models/returns")
    assert model["facets"]["version"]["datasetVersion"] == "1"
    assert trained["inputs"]


def test_a_task_that_fails_says_why(tmp_path):
    with Receiver() as receiver:
        folder = project(tmp_path / "shop", {"url": receiver.url})
        for file in folder.rglob("*.csv"):
            file.write_text("nothing,as,declared\n1,2,3\n")
        with pytest.raises(AssertionError):
            mainspring(folder, "run")

        failed = [event for event in receiver.events if event["eventType"] == "FAIL"]
        assert failed
        for event in failed:
            check_run_event(event)
            assert event["run"]["facets"]["errorMessage"]["message"]


def test_events_go_to_a_file(tmp_path):
    folder = project(tmp_path / "shop", {"file": "lineage.jsonl"})

    mainspring(folder, "run")

    events = [json.loads(line) for line in (folder / "lineage.jsonl").read_text().splitlines()]
    assert of_task(events, "train.returns", "COMPLETE")
    for event in events:
        check_run_event(event)


def test_events_wait_while_nobody_takes_them_and_survive_a_kill(tmp_path):
    with Receiver() as receiver:
        receiver.status = 503
        folder = project(tmp_path / "shop", {"url": receiver.url})
        with Server(folder) as server:
            run = server.post("/api/v1/workflows/runs", {})["run"]
            waited(lambda: server.json(f"/api/v1/workflows/{run}")["state"] == "succeeded")
            tasks = server.json(f"/api/v1/workflows/{run}")["task_runs"]
            server.kill()
        assert receiver.events == []

        receiver.status = 201
        with Server(folder) as again:
            waited(lambda: len(receiver.events) >= 2 * len(tasks))
            text = again.get("/metrics").decode()
            assert re.search(r'mainspring_lineage_events_total\{outcome="Delivered"\} [1-9]', text), text
        jobs = [(event["job"]["name"], event["eventType"]) for event in receiver.events]
        for task in tasks:
            name = f"{task['task']['kind']}.{task['task']['name']}"
            assert jobs.count((name, "START")) >= 1 and jobs.count((name, "COMPLETE")) >= 1, name
        times = [event["eventTime"] for event in receiver.events]
        assert times == sorted(times), "they come in their order"


@pytest.fixture
def graph(tmp_path):
    """A project that was run, its server, and a client that tells it of other tools' runs."""
    folder = tmp_path / "shop"
    folder.mkdir()
    mainspring(folder, "init", "--name", "shop")
    mainspring(folder, "apply")
    mainspring(folder, "run")
    with Server(folder) as server:
        transport = HttpTransport(HttpConfig(url=server.url))
        yield folder, server, OpenLineageClient(transport=transport)


def edges(server, node):
    lineage = server.json(f"/api/v1/lineage?node={urllib.parse.quote(node, safe='')}")
    return {(edge["from"], edge["to"]) for edge in lineage["edges"]}


def test_events_of_the_python_client_join_the_graph(graph):
    folder, server, client = graph
    table = str((folder / ".mainspring/lake/sources/orders").resolve())
    run = Run(str(uuid.uuid4()))
    job = Job("airflow", "load_orders")
    warehouse = InputDataset("postgres://db:5432", "shop.public.orders")
    file = next((folder / "data").rglob("*.csv"), None) or next(folder.rglob("*.csv"))
    name = str(file.relative_to(folder))
    for state in (RunState.START, RunState.COMPLETE):
        outputs = [OutputDataset("file", str(file.resolve()))]
        client.emit(RunEvent(eventTime="2026-01-31T12:00:00Z", eventType=state, run=run, job=job, producer=PRODUCER, inputs=[warehouse], outputs=outputs))
    client.emit(JobEvent(eventTime="2026-01-31T12:00:00Z", job=Job("dbt", "report"), producer=PRODUCER, inputs=[InputDataset("file", table)]))
    client.emit(DatasetEvent(eventTime="2026-01-31T12:00:00Z", dataset=StaticDataset("s3://bucket", "raw/orders"), producer=PRODUCER))

    before = edges(server, f"file:{name}")
    assert ("dataset:postgres://db:5432/shop.public.orders", "job:airflow/load_orders") in before
    assert ("job:airflow/load_orders", f"file:{name}") in before
    table = server.json("/api/v1/tables/sources.orders")
    node = f"table:sources.orders@{table['version']}"
    around = edges(server, node)
    assert (node, "job:dbt/report") in around
    assert ("job:airflow/load_orders", f"file:{name}") in around, "what is behind the file is behind the table"
    page = server.get("/models/returns").decode()
    assert "airflow/load_orders" in page and "public.orders" in page


def test_a_compressed_event_without_an_offset_that_names_our_table_by_a_symlink_joins_it(graph):
    folder, server, _ = graph
    compressed = HttpTransport(HttpConfig(url=server.url, compression=HttpCompression.GZIP))
    client = OpenLineageClient(transport=compressed)
    table = str((folder / ".mainspring/lake/sources/orders").resolve())
    links = symlinks_dataset.SymlinksDatasetFacet(identifiers=[symlinks_dataset.Identifier(namespace="file", name=table, type="LOCATION")])
    output = OutputDataset("hive://metastore:9083", "shop.orders", facets={"symlinks": links})
    event = RunEvent(
        eventTime="2026-01-31T12:00:00",
        eventType=RunState.COMPLETE,
        run=Run(str(uuid.uuid4())),
        job=Job("spark", "load"),
        producer=PRODUCER,
        outputs=[output],
    )

    client.emit(event)

    version = server.json("/api/v1/tables/sources.orders")["version"]
    assert ("job:spark/load", f"table:sources.orders@{version}") in edges(server, "job:spark/load")


def test_the_same_event_changes_the_graph_once(graph):
    _, server, _ = graph
    event = {
        "eventType": "COMPLETE",
        "eventTime": "2026-01-31T12:00:00Z",
        "producer": PRODUCER,
        "schemaURL": "https://openlineage.io/spec/2-0-2/OpenLineage.json#/$defs/RunEvent",
        "run": {"runId": str(uuid.uuid4())},
        "job": {"namespace": "spark", "name": "enrich"},
        "inputs": [{"namespace": "kafka://broker", "name": "clicks"}],
        "outputs": [{"namespace": "s3://bucket", "name": "enriched"}],
    }
    first, entries = server.post("/api/v1/lineage", event), len(server.json("/api/v1/audit?limit=500")["items"])

    again = server.post("/api/v1/lineage", dict(reversed(event.items())))

    assert (first["known"], again["known"]) == (False, True)
    assert first["event"] == again["event"]
    assert len(server.json("/api/v1/audit?limit=500")["items"]) == entries
    assert edges(server, "job:spark/enrich") == {
        ("dataset:kafka://broker/clicks", "job:spark/enrich"),
        ("job:spark/enrich", "dataset:s3://bucket/enriched"),
    }


@pytest.mark.parametrize(
    ("change", "status", "words"),
    [
        ({"eventTime": "yesterday"}, 422, "RFC 3339"),
        ({"run": {"runId": "42"}}, 422, "UUID"),
        ({"job": {"namespace": "spark"}}, 422, "missing field `name`"),
        ({"eventType": "DONE"}, 422, "DONE"),
        ({"producer": None}, 422, "string"),
    ],
)
def test_what_is_no_event_is_refused_and_said_why(graph, change, status, words):
    _, server, _ = graph
    event = {
        "eventType": "START",
        "eventTime": "2026-01-31T12:00:00Z",
        "producer": PRODUCER,
        "schemaURL": "https://openlineage.io/spec/2-0-2/OpenLineage.json#/$defs/RunEvent",
        "run": {"runId": str(uuid.uuid4())},
        "job": {"namespace": "spark", "name": "enrich"},
        **change,
    }
    with pytest.raises(urllib.error.HTTPError) as refused:
        server.post("/api/v1/lineage", event)
    problem = json.loads(refused.value.read())
    assert refused.value.code == status and words in problem["detail"], problem


def test_an_event_that_is_larger_than_may_be_once_decompressed_is_refused(graph):
    _, server, _ = graph
    client = OpenLineageClient(transport=HttpTransport(HttpConfig(url=server.url, compression=HttpCompression.GZIP)))

    def emit(name, size):
        facets = {"documentation": documentation_job.DocumentationJobFacet(description="x" * size)}
        outputs = [OutputDataset("kafka://broker", name)]
        client.emit(JobEvent(eventTime="2026-01-31T12:00:00Z", job=Job("spark", name, facets=facets), producer=PRODUCER, outputs=outputs))

    emit("fits", 3 << 20)
    with pytest.raises(requests.HTTPError) as refused:
        emit("large", 5 << 20)

    assert refused.value.response.status_code == 413
    assert edges(server, "job:spark/fits") and not edges(server, "job:spark/large")


def moment(state, job, **datasets):
    """An event of a run of its own, as the client writes it."""
    event = RunEvent(
        eventTime="2026-01-31T12:00:00Z", eventType=state, run=Run(str(uuid.uuid4())), job=Job("spark", job), producer=PRODUCER, **datasets
    )
    return json.loads(Serde.to_json(event))


def test_what_a_run_has_not_completed_is_no_version_of_our_table(graph):
    folder, server, client = graph
    table = str((folder / ".mainspring/lake/sources/orders").resolve())
    version = server.json("/api/v1/tables/sources.orders")["version"]
    for state in (RunState.START, RunState.RUNNING, RunState.FAIL, RunState.ABORT):
        run, job = Run(str(uuid.uuid4())), Job("spark", state.value.lower())
        outputs = [OutputDataset("file", table)]
        client.emit(RunEvent(eventTime="2026-01-31T12:00:00Z", eventType=state, run=run, job=job, producer=PRODUCER, outputs=outputs))

        assert edges(server, f"job:spark/{job.name}") == {(f"job:spark/{job.name}", "table:sources.orders")}

    made = {source for source, into in edges(server, f"table:sources.orders@{version}") if into == f"table:sources.orders@{version}"}
    assert not any(source.startswith("job:spark/") for source in made), made


def test_a_batch_of_events_joins_the_graph_and_tells_those_that_do_not(graph):
    _, server, _ = graph
    loaded = moment(RunState.COMPLETE, "load", inputs=[InputDataset("kafka://broker", "clicks")])
    described = json.loads(
        Serde.to_json(DatasetEvent(eventTime="2026-01-31T12:00:00Z", dataset=StaticDataset("s3://bucket", "raw"), producer=PRODUCER))
    )
    nameless = moment(RunState.COMPLETE, "nameless", inputs=[InputDataset("kafka://broker", "clicks")])
    del nameless["inputs"][0]["name"]
    entries = len(server.json("/api/v1/audit?limit=500")["items"])

    body = gzip.compress(json.dumps([loaded, nameless, described, loaded]).encode())
    headers = {"content-type": "application/json", "content-encoding": "gzip"}
    answer = requests.post(f"{server.url}/api/v1/lineage/batch", data=body, headers=headers, timeout=PATIENCE)

    assert answer.status_code == 200, answer.text
    told = answer.json()
    assert told["status"] == "partial_success"
    assert told["summary"] == {"received": 4, "successful": 3, "failed": 1, "retriable": 0, "non_retriable": 1}
    (failed,) = told["failed_events"]
    assert (failed["index"], failed["retriable"]) == (1, False)
    assert "inputs[0]" in failed["reason"] and "missing field `name`" in failed["reason"], failed
    assert edges(server, "job:spark/load") == {("dataset:kafka://broker/clicks", "job:spark/load")}
    assert len(server.json("/api/v1/audit?limit=500")["items"]) == entries + 2, "an event that comes twice is one change"


def test_a_batch_that_is_sent_again_changes_nothing_and_one_of_none_that_is_an_event_is_an_error(graph):
    _, server, _ = graph
    events = [moment(RunState.COMPLETE, "load", outputs=[OutputDataset("s3://bucket", f"part-{number}")]) for number in range(50)]

    first = server.post("/api/v1/lineage/batch", events)
    entries, around = len(server.json("/api/v1/audit?limit=500")["items"]), edges(server, "job:spark/load")
    again = server.post("/api/v1/lineage/batch", events)

    assert first == again
    assert (first["status"], first["summary"]["successful"], first["failed_events"]) == ("success", 50, [])
    assert len(around) == 50 and edges(server, "job:spark/load") == around
    assert len(server.json("/api/v1/audit?limit=500")["items"]) == entries
    assert server.post("/api/v1/lineage/batch", [7, {"job": {}}])["status"] == "error"
    assert server.post("/api/v1/lineage/batch", [])["status"] == "success"


def test_what_is_no_batch_is_refused_as_a_whole(graph):
    _, server, _ = graph
    for body, status, words in [
        (b"{}", 422, "expected a list of events"),
        (b"[{", 400, "EOF"),
        (b"[" + b",".join([b"{}"] * 1_001) + b"]", 422, "at most 1000 events"),
        (b'["' + b"x" * (4 << 20) + b'"]', 413, "the most is"),
    ]:
        headers = {"content-type": "application/json"}
        refused = requests.post(f"{server.url}/api/v1/lineage/batch", data=body, headers=headers, timeout=PATIENCE)

        assert refused.status_code == status and words in refused.json()["detail"], refused.text


def test_the_example_runs(graph):
    _, server, _ = graph
    said = subprocess.run(
        [sys.executable, SCRIPT], env={**os.environ, "MAINSPRING_URL": server.url}, capture_output=True, text=True,
        timeout=PATIENCE,
    )
    assert said.returncode == 0, said.stderr
    assert "job:nightly/load_customers" in said.stdout

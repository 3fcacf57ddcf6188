"""Writes over the wire: push, write-to-online-store, materialise; newest event wins; kill -9 keeps what was acknowledged."""

import datetime
import json
import pathlib
import shutil
import subprocess
import sys
import threading
import time

import pandas as pd
import requests
from feast.data_source import PushMode

from conftest import NOW, ago, drivers, query, write_parquet
from harness import PATIENCE, Server, mainspring, waited

EXAMPLE = pathlib.Path(__file__).parents[3] / "examples" / "clients" / "feast_features.py"


def frame(driver, at, trips, created=None, **other):
    row = {
        "driver_id": driver, "event_timestamp": at, "created": created, "conv_rate": 0.125, "trips": trips, "area": "here",
        "active": True, "joined": ago(days=1), **other,
    }
    table = pd.DataFrame([row])
    for name in ["event_timestamp", "created", "joined"]:
        table[name] = pd.to_datetime(table[name], utc=True)
    return table


def trips(store, driver):
    return store.get_online_features(features=["driver_stats:trips"], entity_rows=[{"driver_id": driver}]).to_dict()["trips"][0]


def test_push_by_the_sdk(store):
    store.push("driver-stats-push", frame(2001, ago(minutes=5), 41))

    found = store.get_online_features(
        features=["driver_stats:conv_rate", "driver_stats:area", "driver_stats:active", "driver_stats:joined"],
        entity_rows=[{"driver_id": 2001}],
    ).to_dict()

    assert found["conv_rate"] == [0.125] and found["area"] == ["here"] and found["active"] == [True]
    assert found["joined"] == [int(ago(days=1).timestamp())]
    assert trips(store, 2001) == 41


def test_newest_event_wins_whatever_the_order_of_writes(store):
    for minutes, value in [(30, 1), (10, 3), (20, 2), (40, 0)]:
        store.write_to_online_store("driver_stats", df=frame(2002, ago(minutes=minutes), value))
        store.push("driver-stats-push", frame(2003, ago(minutes=minutes), value))

    assert trips(store, 2002) == 3
    assert trips(store, 2003) == 3


def test_of_one_event_the_row_created_last_wins(store):
    for created, value in [(ago(minutes=9), 1), (ago(minutes=3), 3), (ago(minutes=6), 2)]:
        store.write_to_online_store("driver_stats", df=frame(2004, ago(minutes=10), value, created=created))
    assert trips(store, 2004) == 3

    # Without, the one that was written last.
    for value in [5, 9, 7]:
        store.write_to_online_store("driver_stats", df=frame(2005, ago(minutes=10), value))
    assert trips(store, 2005) == 7


def test_times_that_are_not_there_are_null_beside_those_that_are(store):
    # Among others the SDK sends such a time as the least whole number there is.
    rows = pd.concat([frame(2016, ago(minutes=5), 1), frame(2017, ago(minutes=5), 2, joined=pd.NaT)])
    store.write_to_online_store("driver_stats", df=rows)

    keys = [{"driver_id": 2016}, {"driver_id": 2017}]
    found = store.get_online_features(features=["driver_stats:joined", "driver_stats:trips"], entity_rows=keys).to_dict()
    assert found["joined"] == [int(ago(days=1).timestamp()), None] and found["trips"] == [1, 2]


def test_lists_are_written_and_read_as_lists(served, store):
    table = pd.DataFrame({"driver_id": [2006], "event_timestamp": [NOW], "created": [NOW], "vector": [[1.0, -2.5]], "words": [["x", "y"]]})
    store.write_to_online_store("driver_vectors", df=table)

    found = store.get_online_features(features=["driver_vectors:vector", "driver_vectors:words"], entity_rows=[{"driver_id": 2006}])

    assert found.to_dict() == {"driver_id": [2006], "vector": [[1.0, -2.5]], "words": [["x", "y"]]}


def wire(driver, at, value):
    return {
        "driver_id": [driver], "event_timestamp": [at.isoformat()], "conv_rate": [None], "trips": [value], "area": [None],
        "active": [None], "joined": [None],
    }


def push(server, body, to):
    answer = requests.post(
        f"{server.url}/push", json={"push_source_name": "driver-stats-push", "df": body, "to": to}, timeout=PATIENCE
    )
    assert answer.status_code == 200, answer.text
    assert answer.content == b""


def test_modes_of_push(served, store):
    push(served, wire(2007, ago(minutes=1), 1), "online")
    push(served, wire(2008, ago(minutes=1), 2), "offline")
    push(served, wire(2009, ago(minutes=1), 3), "online_and_offline")

    assert [trips(store, driver) for driver in (2007, 2008, 2009)] == [1, None, 3]
    # All of them are history, and so in the next training set.
    mainspring(served.folder, "run", "feature_view:driver_stats")
    found = query(
        served.folder,
        "select driver_id, trips from features.driver_stats where driver_id between 2007 and 2009 order by driver_id",
    )
    assert [(row["driver_id"], row["trips"]) for row in found] == [(2007, 1), (2008, 2), (2009, 3)]
    assert trips(store, 2008) == 2


def test_what_python_writes_for_no_number_is_null(served, store):
    # As Feast's own guide pushes: `data=json.dumps(…)`, which writes what pandas has for a value that is not there as `NaN`.
    frame = {**wire(2400, ago(minutes=1), 6), "conv_rate": [float("nan")], "area": ["a \"NaN\""]}
    writes = [("/push", {"push_source_name": "driver-stats-push"}), ("/write-to-online-store", {"feature_view_name": "driver_stats"})]
    for path, name in writes:
        answer = requests.post(served.url + path, data=json.dumps({**name, "df": frame}), timeout=PATIENCE)
        assert answer.status_code == 200, answer.text

    names = ["conv_rate", "area", "trips"]
    found = store.get_online_features(
        features=[f"driver_stats:{name}" for name in names], entity_rows=[{"driver_id": 2400}]
    ).to_dict()
    assert [found[name] for name in names] == [[None], ['a "NaN"'], [6]]


def test_many_writers_at_once(served, store):
    """Each of eight writers pushes events in an order of its own; the newest of each driver is there at the end."""

    def write(writer):
        session = requests.Session()
        for step in range(20):
            minutes = (step * 7 + writer) % 20
            body = {
                "push_source_name": "driver-stats-push",
                "df": wire(2100 + writer % 2, ago(hours=1) - datetime.timedelta(minutes=minutes), 1000 - minutes),
            }
            assert session.post(f"{served.url}/push", json=body, timeout=PATIENCE).status_code == 200

    writers = [threading.Thread(target=write, args=(writer,)) for writer in range(8)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()

    assert [trips(store, driver) for driver in (2100, 2101)] == [1000, 1000]


def test_materialize_reads_the_sources_again(rides, served, store):
    push(served, wire(2010, ago(minutes=5), 41), "online")
    more = pd.concat([drivers(), drivers().assign(driver_id=1007).head(1)])
    write_parquet(more, rides.parquet)

    answer = requests.post(
        f"{served.url}/materialize",
        json={"start_ts": ago(days=2).isoformat(), "end_ts": NOW.isoformat(), "feature_views": ["driver_stats"]},
        timeout=PATIENCE,
    )
    assert answer.status_code == 200, answer.text
    assert trips(store, 1007) == 10
    assert trips(store, 2010) == 41, "what was pushed stays"

    write_parquet(pd.concat([more, drivers().assign(driver_id=1008).head(1)]), rides.parquet)
    answer = requests.post(f"{served.url}/materialize-incremental", json={"end_ts": NOW.isoformat()}, timeout=PATIENCE)
    assert answer.status_code == 200, answer.text
    assert trips(store, 1008) == 10 and trips(store, 1001) == 13


def test_materialize_to_a_moment_brings_what_was_so_by_then(rides, tmp_path):
    project = tmp_path / "project"
    shutil.copytree(rides.project, project, ignore=shutil.ignore_patterns(".mainspring"))
    mainspring(project, "apply", "--yes")
    with Server(project) as server:
        store = rides.remote(server.url)
        push(server, wire(2300, ago(minutes=1), 5), "online")
        for end, expected in [(ago(hours=10), 10), (NOW, 13), (ago(hours=12), 13)]:
            body = {"start_ts": ago(days=20).isoformat(), "end_ts": end.isoformat()}
            answer = requests.post(f"{server.url}/materialize", json=body, timeout=PATIENCE)
            assert answer.status_code == 200, answer.text
            assert trips(store, 1001) == expected, f"by {end}; and nothing is taken away"
            assert trips(store, 2300) == 5, "what was pushed stays"


def test_materialize_may_be_asked_for_without_waiting(served):
    def done():
        return sum(run["state"] == "succeeded" for run in served.json("/api/v1/workflows?limit=500")["items"])

    before = done()
    body = {"end_ts": NOW.isoformat(), "feature_views": ["driver_stats"]}
    # `requests` writes the first as `True`.
    for word, status in [(True, 202), ("1", 202), ("False", 200)]:
        answer = requests.post(
            f"{served.url}/materialize-incremental", params={"async": word}, json=body, timeout=PATIENCE
        )
        assert answer.status_code == status, answer.text
        if status == 202:
            assert answer.json() == {"status": "accepted", "feature_views": ["driver_stats"]}
    # what was accepted comes about, and is over before the next test asks for the same view
    waited(lambda: done() == before + 3)


def test_materialize_by_the_sdk(rides, store):
    write_parquet(pd.concat([drivers(), drivers().assign(driver_id=1009).head(1)]), rides.parquet)

    store.materialize(ago(days=3), NOW + datetime.timedelta(minutes=1), feature_views=["driver_stats"])
    assert trips(store, 1009) == 10
    store.materialize_incremental(NOW + datetime.timedelta(minutes=2), feature_views=["driver_vectors"])
    assert trips(store, 1009) == 10


def test_example_runs(served):
    done = subprocess.run([sys.executable, EXAMPLE, served.url], capture_output=True, text=True, timeout=PATIENCE)
    assert done.returncode == 0, done.stderr
    assert "PRESENT" in done.stdout


def test_kill_9_keeps_every_acknowledged_write(rides, tmp_path):
    """Killed at moments that differ while it takes pushes and lands them; what was acknowledged is online and in the lake."""
    project = tmp_path / "project"
    shutil.copytree(rides.project, project, ignore=shutil.ignore_patterns(".mainspring"))
    mainspring(project, "apply", "--yes")
    acknowledged = {}
    drivers_written = range(9000, 9004)
    for round in range(4):
        stopped, begun = threading.Event(), dict(acknowledged)
        with Server(project) as server:

            def write(driver):
                session = requests.Session()
                for step in range(1_000_000):
                    value = round * 1_000_000 + step
                    at = ago(hours=2) + datetime.timedelta(milliseconds=value)
                    body = {"push_source_name": "driver-stats-push", "df": wire(driver, at, value)}
                    try:
                        answer = session.post(f"{server.url}/push", json=body, timeout=PATIENCE)
                    except requests.RequestException:
                        return
                    if stopped.is_set() or answer.status_code != 200:
                        return
                    acknowledged[driver] = value

            writers = [threading.Thread(target=write, args=(driver,)) for driver in drivers_written]
            for writer in writers:
                writer.start()
            waited(lambda: all(acknowledged.get(driver) != begun.get(driver) for driver in drivers_written))
            time.sleep(0.8 + 0.5 * round)
            server.kill()
            stopped.set()
            for writer in writers:
                writer.join()

        with Server(project) as again:
            body = {"entities": {"driver_id": sorted(acknowledged)}, "features": ["driver_stats:trips"]}
            answer = requests.post(f"{again.url}/get-online-features", json=body, timeout=PATIENCE).json()
            found = dict(zip(sorted(acknowledged), answer["results"][1]["values"]))
            for driver, value in acknowledged.items():
                assert found[driver] is not None and found[driver] >= value, f"round {round}: {driver} lost {value}"
    mainspring(project, "run", "feature_view:driver_stats")
    rows = query(
        project,
        "select driver_id, max(trips) as newest, count(*) as rows, count(distinct trips) as different "
        "from sources.driver_stats_pushed group by driver_id",
    )
    assert len(rows) == 4
    for row in rows:
        assert row["newest"] >= acknowledged[row["driver_id"]]
        assert row["rows"] == row["different"], "each push lands once"


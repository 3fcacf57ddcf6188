"""One Feast repository, imported into a project; Feast's own store over the same registry to compare with."""

import datetime
import json
import os
import pathlib
import subprocess
import sys

os.environ["FEAST_USAGE"] = "False"
os.environ["FEAST_TELEMETRY"] = "False"

import pandas as pd
import pytest
from feast import FeatureStore

from harness import Server, mainspring

HERE = pathlib.Path(__file__).parent
NOW = datetime.datetime.now(datetime.timezone.utc).replace(microsecond=0)


def ago(**span) -> datetime.datetime:
    return NOW - datetime.timedelta(**span)


def drivers() -> pd.DataFrame:
    """Four drivers: the first with several rows, the second with nulls, the third with nothing young enough."""
    rows = [
        (1001, ago(hours=20), ago(hours=19), 0.5, 10, "north", True, ago(days=3), [0.5, 1.5], ["a"]),
        (1001, ago(hours=2), ago(hours=1), 0.75, 12, "south", False, ago(days=2), [0.25, -1.0], ["a", "b"]),
        # Of one event the row created last counts.
        (1001, ago(hours=2), ago(minutes=30), 0.8125, 13, "süd \"1\"", False, ago(days=2), [0.1, 0.2], ["c"]),
        (1002, ago(hours=3), ago(hours=3), None, 7, None, None, None, None, None),
        # An empty list, which the SDK cannot read from any server, but the wire can carry.
        (1004, ago(hours=3), ago(hours=3), 1.0, 2, "east", True, ago(days=3), [0.0], []),
        (1003, ago(days=10), ago(days=10), 0.25, 1, "west", True, ago(days=11), [1.0, 2.0], ["z"]),
    ]
    names = ["driver_id", "event_timestamp", "created", "conv_rate", "trips", "area", "active", "joined", "vector", "words"]
    frame = pd.DataFrame(rows, columns=names)
    frame["trips"] = frame["trips"].astype("int64")
    frame["active"] = frame["active"].astype("boolean")
    for time in ["event_timestamp", "created", "joined"]:
        frame[time] = pd.to_datetime(frame[time], utc=True)
    return frame


def write_parquet(frame: pd.DataFrame, path: pathlib.Path):
    import pyarrow as pa
    import pyarrow.parquet as pq

    moment = pa.timestamp("us", "UTC")
    types = {
        "driver_id": pa.int64(), "event_timestamp": moment, "created": moment, "conv_rate": pa.float64(), "trips": pa.int64(),
        "area": pa.string(), "active": pa.bool_(), "joined": moment, "vector": pa.list_(pa.float32()), "words": pa.list_(pa.string()),
    }
    schema = pa.schema([(name, types[name]) for name in frame.columns])
    pq.write_table(pa.Table.from_pandas(frame, schema=schema, preserve_index=False), path)


def query(folder: pathlib.Path, sql: str) -> list[dict]:
    """The rows of a query over the project's tables."""
    return [json.loads(line) for line in mainspring(folder, "query", sql, "--json").splitlines()]


class Rides:
    """The repository, the project made of it, and its server."""

    def __init__(self, folder: pathlib.Path):
        self.folder = folder
        self.repo = folder / "repo"
        self.project = folder / "project"
        self.repo.mkdir(parents=True)
        self.parquet = self.repo / "driver_stats.parquet"
        write_parquet(drivers(), self.parquet)
        (self.repo / "definitions.py").write_text((HERE / "definitions.py").read_text())
        self.configure(self.repo, "online_store: {type: sqlite, path: online.db}")
        # As its users do: Feast keeps the source of what it cannot say otherwise.
        feast = pathlib.Path(sys.executable).parent / "feast"
        done = subprocess.run([feast, "apply"], cwd=self.repo, capture_output=True, text=True, timeout=300)
        assert done.returncode == 0, done.stdout + done.stderr
        self.reference = FeatureStore(repo_path=str(self.repo))
        self.said = mainspring(self.project, "import", "feast", str(self.repo), "--json")

    def configure(self, repo: pathlib.Path, online: str):
        repo.mkdir(parents=True, exist_ok=True)
        registry = self.repo / "registry.db"
        (repo / "feature_store.yaml").write_text(
            f"project: rides\nprovider: local\nregistry: {registry}\noffline_store: {{type: file}}\n"
            f"entity_key_serialization_version: 3\n{online}\n"
        )

    def materialize_reference(self):
        """Brings into Feast's own store what tests compare."""
        self.reference.materialize_incremental(
            datetime.datetime.now(datetime.timezone.utc), feature_views=["driver_stats", "driver_vectors"]
        )

    def remote(self, url: str) -> FeatureStore:
        """The SDK over the same registry, with its online store at a URL."""
        repo = self.folder / f"remote-{url.rsplit(':', 1)[1]}"
        self.configure(repo, f"online_store: {{type: remote, path: {url}}}")
        return FeatureStore(repo_path=str(repo))


@pytest.fixture(scope="session")
def rides(tmp_path_factory) -> Rides:
    return Rides(tmp_path_factory.mktemp("feast"))


@pytest.fixture(scope="session")
def served(rides):
    """The project, applied and run, behind a server."""
    mainspring(rides.project, "validate")
    mainspring(rides.project, "apply", "--yes")
    mainspring(rides.project, "run")
    with Server(rides.project) as server:
        yield server


@pytest.fixture(scope="session")
def store(rides, served) -> FeatureStore:
    return rides.remote(served.url)

"""A small project that was run, and its server: one for those who read, one for who may change anything."""

import contextlib

import pytest

from harness import Server, mainspring, waited


@contextlib.contextmanager
def served(folder):
    folder.mkdir()
    mainspring(folder, "init", "--name", "shop")
    mainspring(folder, "apply")
    mainspring(folder, "run")
    with Server(folder) as running:
        row = running.json("/api/v1/endpoints/returns")["example"]
        running.post("/api/v1/endpoints/returns/predict", {"rows": [row]})
        # the log of predictions is a table as soon as it is written: from then on nothing changes by itself
        waited(lambda: "predictions.returns" in str(running.json("/api/v1/tables")))
        yield running


@pytest.fixture(scope="session")
def server(tmp_path_factory):
    with served(tmp_path_factory.mktemp("api") / "shop") as running:
        yield running


@pytest.fixture(scope="session")
def changed(tmp_path_factory):
    """A server of its own for who starts runs, promotes and labels at random."""
    with served(tmp_path_factory.mktemp("changed") / "shop") as running:
        yield running

import pathlib

import pytest
from harness import Server


@pytest.fixture(scope="session")
def folder(tmp_path_factory) -> pathlib.Path:
    return tmp_path_factory.mktemp("trees")


@pytest.fixture(scope="session")
def server(folder):
    """One server over an empty folder; models are put behind endpoints while it runs."""
    with Server(folder / "served") as server:
        yield server

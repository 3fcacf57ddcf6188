"""A small project that was run, and its server."""

import pytest

from harness import Server, mainspring


@pytest.fixture(scope="session")
def server(tmp_path_factory):
    folder = tmp_path_factory.mktemp("api") / "shop"
    folder.mkdir()
    mainspring(folder, "init", "--name", "shop")
    mainspring(folder, "apply")
    mainspring(folder, "run")
    with Server(folder) as running:
        row = running.json("/api/v1/endpoints/returns")["example"]
        running.post("/api/v1/endpoints/returns/predict", {"rows": [row]})
        yield running

"""The API's description: valid, true of what the server answers, and of no use to those who would break it."""

import os
import pathlib
import re
import subprocess
import sys

import pytest
from openapi_spec_validator import OpenAPIV31SpecValidator

from harness import PATIENCE

# of each operation; the seed is fixed, so that a failure is found again
EXAMPLES = 10
SEED = 20_260_131
CONFIGURATION = pathlib.Path(__file__).parent / "schemathesis.toml"
SCRIPT = pathlib.Path(__file__).parents[3] / "examples/clients/api.py"


@pytest.fixture(scope="session")
def document(server):
    return server.json("/api/v1/openapi.json")


def test_the_document_is_openapi_3_1(document):
    assert document["openapi"].startswith("3.1.")
    OpenAPIV31SpecValidator(document).validate()


def test_answers_are_as_described_whatever_is_asked(changed, document):
    command = [
        pathlib.Path(sys.executable).parent / "schemathesis", "--config-file", CONFIGURATION,
        "run", f"{changed.url}/api/v1/openapi.json",
        "--phases", "examples,coverage,fuzzing", "--max-examples", str(EXAMPLES), "--seed", str(SEED),
        "--generation-database", "none", "--warnings", "off", "--no-color",
        # how long it takes to make an example says nothing of the server
        "--suppress-health-check", "too_slow", "--request-timeout", str(PATIENCE),
    ]
    said = subprocess.run(
        command, env={**os.environ, "PYTHONHASHSEED": "0"}, capture_output=True, text=True, timeout=1_500,
        cwd=changed.folder.parent,
    )

    assert said.returncode == 0, f"{said.stdout[-12_000:]}\n{said.stderr[-2_000:]}"
    operations = sum(len(methods) for methods in document["paths"].values())
    assert re.search(rf"Tested: {operations}\b", said.stdout), said.stdout[-3_000:]


def names_in(document, path):
    return [parameter["name"] for parameter in document["paths"][path]["get"]["parameters"]]


def test_every_list_is_paged(server, document):
    lists = [
        path
        for path, methods in document["paths"].items()
        if "get" in methods and "limit" in names_in(document, path)
    ]
    assert len(lists) >= 12
    for path in lists:
        path = path.replace("{model}", "returns").replace("{monitor}", next(iter(monitors(server)), "none"))
        if path.endswith("/none/reports"):
            continue
        whole = server.json(f"{path}?limit=500")
        assert whole["next"] is None, path
        seen, query = [], "?limit=1"
        for _ in range(len(whole["items"]) + 1):
            page = server.json(path + query)
            assert len(page["items"]) <= 1
            seen += page["items"]
            if page["next"] is None:
                break
            query = f"?limit=1&after={page['next']}"
        # figures of time move between two requests; names and numbers of things do not
        assert len(seen) == len(whole["items"]), path
        assert [sorted(item) for item in seen] == [sorted(item) for item in whole["items"]], path


def monitors(server):
    return [monitor["monitor"] for monitor in server.json("/api/v1/monitors")["items"]]


def test_the_example_runs(server):
    said = subprocess.run(
        [sys.executable, SCRIPT], env={**os.environ, "MAINSPRING_URL": server.url}, capture_output=True, text=True,
        timeout=PATIENCE,
    )
    assert said.returncode == 0, said.stderr
    assert "returns" in said.stdout and "version 1" in said.stdout

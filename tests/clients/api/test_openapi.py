"""The API's description: valid, true of what the server answers, and of no use to those who would break it."""

import os
import pathlib
import subprocess
import sys

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, settings
from openapi_spec_validator import OpenAPIV31SpecValidator

# of each operation; the seed is fixed, so that a failure is found again
EXAMPLES = 25
SEED = 20_260_131
SCRIPT = pathlib.Path(__file__).parents[3] / "examples/clients/api.py"


@pytest.fixture(scope="session")
def document(server):
    return server.json("/api/v1/openapi.json")


@pytest.fixture(scope="session")
def api(server):
    return schemathesis.openapi.from_url(f"{server.url}/api/v1/openapi.json")


schema = schemathesis.pytest.from_fixture("api")


def test_the_document_is_openapi_3_1(document):
    assert document["openapi"].startswith("3.1.")
    OpenAPIV31SpecValidator(document).validate()


@schema.parametrize()
@settings(
    max_examples=EXAMPLES,
    derandomize=True,
    deadline=None,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=list(HealthCheck),
)
def test_answers_are_as_described_whatever_is_asked(case):
    case.call_and_validate()


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
        [sys.executable, SCRIPT], env={**os.environ, "MAINSPRING_URL": server.url}, capture_output=True, text=True, timeout=60
    )
    assert said.returncode == 0, said.stderr
    assert "returns" in said.stdout and "version 1" in said.stdout

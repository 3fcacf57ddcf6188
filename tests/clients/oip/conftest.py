"""One trained project behind one server, on both ports."""

import pathlib

import numpy as np
import pytest
import tritonclient.grpc as over_grpc
import tritonclient.http as over_http

import inference_project
from harness import Server, mainspring

POLICIES = pathlib.Path(__file__).parents[3] / "crates/govern/policies/default.cedar"
FORBID = """
@id("blocked gets no predictions")
forbid (principal == User::"blocked", action == Action::"endpoint.predict", resource);
"""


@pytest.fixture(scope="session")
def platform(tmp_path_factory):
    folder = tmp_path_factory.mktemp("oip") / "stays"
    rows = inference_project.make(folder)
    (folder / "policies").mkdir()
    (folder / "policies/access.cedar").write_text(POLICIES.read_text() + FORBID)
    mainspring(folder, "apply", "--yes")
    # before the server starts: it takes up later ones only after a moment
    said = {name: mainspring(folder, "key", "create", name, "--role", "caller") for name in ["website", "blocked"]}
    keys = {name: next(word for word in words.split() if word.startswith("ms_")) for name, words in said.items()}
    with Server(folder, "--grpc", "127.0.0.1:0") as server:
        server.rows, server.keys = rows, keys
        yield server


@pytest.fixture(scope="session")
def http(platform):
    with over_http.InferenceServerClient(platform.url.removeprefix("http://")) as client:
        yield client


@pytest.fixture(scope="session")
def grpc(platform):
    with over_grpc.InferenceServerClient(platform.grpc) as client:
        yield client


@pytest.fixture(scope="session")
def wide(platform):
    """100 rows of 28 numbers, which floats of 32 bits are without loss."""
    columns = [platform.rows[f"x{number}"][:100] for number in range(inference_project.WIDE)]
    return np.stack(columns, axis=1).astype(np.float32).astype(np.float64)


@pytest.fixture(scope="session")
def mixed(platform):
    """Inputs of four types, 50 rows of each."""
    kinds = {"city": object, "nights": np.int64, "breakfast": bool, "distance": np.float64}
    return {name: platform.rows[name][:50].astype(kind) for name, kind in kinds.items()}


@pytest.fixture(scope="session")
def native(platform):
    """What the platform's own API answers: the reference for every other way of asking."""

    def ask(endpoint: str, columns: dict) -> list[dict]:
        names = list(columns)
        rows = [dict(zip(names, row)) for row in zip(*(column.tolist() for column in columns.values()))]
        return platform.post(f"/api/v1/endpoints/{endpoint}/predict", {"rows": rows})["predictions"]

    return ask


@pytest.fixture(scope="session")
def late(native, wide):
    """The probabilities of the wide rows by the platform's own API."""
    answered = native("late", {f"x{number}": wide[:, number] for number in range(wide.shape[1])})
    return np.array([row["prediction"] for row in answered])

"""One trained project behind one server, on both ports."""

import numpy as np
import pytest

import inference_project
from harness import Server


@pytest.fixture(scope="session")
def platform(tmp_path_factory):
    folder = tmp_path_factory.mktemp("kserve") / "stays"
    rows = inference_project.make(folder)
    with Server(folder, "--grpc", "127.0.0.1:0") as server:
        server.rows = rows
        yield server


@pytest.fixture(scope="session")
def wide(platform):
    columns = [platform.rows[f"x{number}"][:100] for number in range(inference_project.WIDE)]
    return np.stack(columns, axis=1)


@pytest.fixture(scope="session")
def mixed(platform):
    kinds = {"city": object, "nights": np.int64, "breakfast": bool, "distance": np.float64}
    return {name: platform.rows[name][:50].astype(kind) for name, kind in kinds.items()}


@pytest.fixture(scope="session")
def native(platform):
    """What the platform's own API answers."""

    def ask(endpoint: str, columns: dict) -> list[dict]:
        names = list(columns)
        rows = [dict(zip(names, row)) for row in zip(*(column.tolist() for column in columns.values()))]
        return platform.post(f"/api/v1/endpoints/{endpoint}/predict", {"rows": rows})["predictions"]

    return ask

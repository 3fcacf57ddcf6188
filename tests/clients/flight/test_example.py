"""The example of the guide runs as it stands."""

import os
import pathlib
import subprocess
import sys

from harness import PATIENCE

EXAMPLE = pathlib.Path(__file__).parents[3] / "examples/clients/flight_sql.py"


def test_the_example_lists_tables_and_streams(server):
    done = subprocess.run(
        [sys.executable, EXAMPLE, f"grpc://{server.grpc}"],
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"},
    )

    assert done.returncode == 0, done.stderr
    assert "TABLE  sources.orders" in done.stdout and "VIEW   platform.runs" in done.stdout
    assert "succeeded" in done.stdout and "1,000,000 rows were streamed" in done.stdout

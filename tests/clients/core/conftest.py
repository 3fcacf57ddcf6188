"""One demo project and one running server for the browser and the readers of tables and metrics."""

import json
import os
import subprocess

import pytest
from deltalake import DeltaTable

from harness import BINARY, PATIENCE, Server, waited


class Platform(Server):
    """The server over the demo, that keeps count of the predictions."""

    def table(self, name: str) -> DeltaTable:
        return DeltaTable(str(self.folder / ".mainspring" / "lake" / name.replace(".", "/")))

    def predict(self, body: dict) -> dict:
        """Asks for one prediction; it is in the log when this returns."""
        answer = self.post("/api/v1/endpoints/arrival_delay/predict", body)
        self.made += 1
        waited(lambda: self.table("predictions.arrival_delay").to_pyarrow_table(columns=[]).num_rows == self.made)
        return answer


@pytest.fixture(scope="session")
def platform(tmp_path_factory):
    folder = tmp_path_factory.mktemp("clients") / "flights"
    report = folder.parent / "report.json"
    subprocess.run(
        [BINARY, "demo", "--once", "--days", "40", "--dir", folder, "--report", report, "--listen", "127.0.0.1:0"],
        check=True,
        timeout=1500,
    )
    with Platform(folder) as server:
        server.report = json.loads(report.read_text())
        server.made = server.report["predictions"]["made"]
        yield server


@pytest.fixture(scope="session")
def browser():
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(
            executable_path=os.environ["CHROMIUM"],
            timeout=PATIENCE * 1_000,
            args=[
                "--no-sandbox",
                "--disable-gpu",
                "--disable-quic",
                "--no-first-run",
                "--disable-background-networking",
                "--disable-component-update",
                "--disable-sync",
            ],
        )
        yield chromium
        chromium.close()

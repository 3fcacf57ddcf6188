"""One demo project and one running server for the browser and the readers of tables and metrics."""

import json
import os
import subprocess

import pytest

from harness import BINARY, Server


@pytest.fixture(scope="session")
def platform(tmp_path_factory):
    folder = tmp_path_factory.mktemp("clients") / "flights"
    report = folder.parent / "report.json"
    subprocess.run(
        [BINARY, "demo", "--once", "--days", "40", "--dir", folder, "--report", report, "--listen", "127.0.0.1:0"],
        check=True,
        timeout=1500,
    )
    with Server(folder) as server:
        server.report = json.loads(report.read_text())
        yield server


@pytest.fixture(scope="session")
def browser():
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(
            executable_path=os.environ["CHROMIUM"],
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

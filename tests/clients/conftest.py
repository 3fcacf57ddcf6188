"""One demo project and one running server for all real clients."""

import json
import os
import pathlib
import re
import subprocess
import urllib.request

import pytest

BINARY = os.environ["MAINSPRING_BINARY"]


class Platform:
    """A project folder that the demo filled, and the server over it."""

    def __init__(self, folder: pathlib.Path, report: dict, url: str):
        self.folder, self.report, self.url = folder, report, url

    def get(self, path: str) -> bytes:
        with urllib.request.urlopen(self.url + path, timeout=30) as answer:
            return answer.read()

    def json(self, path: str):
        return json.loads(self.get(path))

    def post(self, path: str, body: dict):
        request = urllib.request.Request(
            self.url + path, json.dumps(body).encode(), {"content-type": "application/json"}
        )
        with urllib.request.urlopen(request, timeout=30) as answer:
            return json.loads(answer.read())


@pytest.fixture(scope="session")
def platform(tmp_path_factory):
    folder = tmp_path_factory.mktemp("clients") / "flights"
    report = folder.parent / "report.json"
    subprocess.run(
        [BINARY, "demo", "--once", "--days", "40", "--dir", folder, "--report", report, "--listen", "127.0.0.1:0"],
        check=True,
        timeout=1500,
    )
    server = subprocess.Popen(
        [BINARY, "-C", folder, "serve", "--listen", "127.0.0.1:0"], stdout=subprocess.PIPE, text=True
    )
    try:
        line = server.stdout.readline()
        url = re.search(r"http://[\d.]+:\d+", line)
        assert url, f"the server said: {line!r}"
        yield Platform(folder, json.loads(report.read_text()), url.group())
    finally:
        server.terminate()
        assert server.wait(timeout=30) == 0, "the server ends in order when it is asked to"


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

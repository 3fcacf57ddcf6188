"""What every client suite shares: the real binary, started on free ports over a folder, and stopped in order."""

import json
import os
import pathlib
import re
import subprocess
import time
import urllib.request

BINARY = os.environ["MAINSPRING_BINARY"]
PATIENCE = 180
"""Seconds that anything may take. What works takes far less, also on a machine that is slow for a while."""


def waited(condition):
    """What a condition gives as soon as that is something."""
    until = time.monotonic() + PATIENCE
    while not (found := condition()):
        assert time.monotonic() < until, "it did not come about"
        time.sleep(0.1)
    return found


def mainspring(folder: pathlib.Path, *words: str, timeout: float = 600) -> str:
    """Runs a verb in a folder to its end, and gives what it wrote to stdout."""
    done = subprocess.run(
        [BINARY, "-C", folder, *words], capture_output=True, text=True, timeout=timeout, stdin=subprocess.DEVNULL
    )
    assert done.returncode == 0, f"{words} ended with {done.returncode}\n{done.stdout}\n{done.stderr}"
    return done.stdout


class Server:
    """A server over a folder: `with Server(folder) as server: server.get("/health")`."""

    def __init__(self, folder: pathlib.Path, *words: str, env: dict | None = None):
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self.command = [BINARY, "-C", folder, "serve", "--listen", "127.0.0.1:0", *words]
        self.env = {**os.environ, **(env or {})}

    def __enter__(self):
        self.was_killed = False
        self.process = subprocess.Popen(self.command, stdout=subprocess.PIPE, text=True, env=self.env)
        line = self.process.stdout.readline()
        url = re.search(r"http://[\d.]+:\d+", line)
        if not url:
            self.kill()
            raise AssertionError(f"the server said: {line!r}")
        self.url = url.group()
        self.port = int(self.url.rsplit(":", 1)[1])
        grpc = re.search(r"grpc://([\d.]+:\d+)", line)
        self.grpc = grpc.group(1) if grpc else None
        return self

    def __exit__(self, *_):
        if self.was_killed:
            return
        self.process.terminate()
        try:
            ended_with = self.process.wait(timeout=PATIENCE)
        except subprocess.TimeoutExpired:
            self.kill()
            raise
        assert ended_with == 0, "the server ends in order when it is asked to"

    def kill(self):
        """Kills it as `kill -9` does."""
        self.was_killed = True
        self.process.kill()
        self.process.wait(timeout=PATIENCE)

    def get(self, path: str) -> bytes:
        with urllib.request.urlopen(self.url + path, timeout=PATIENCE) as answer:
            return answer.read()

    def json(self, path: str):
        return json.loads(self.get(path))

    def post(self, path: str, body: dict):
        request = urllib.request.Request(
            self.url + path, json.dumps(body).encode(), {"content-type": "application/json"}
        )
        with urllib.request.urlopen(request, timeout=PATIENCE) as answer:
            return json.loads(answer.read())

    def resident_bytes(self) -> int:
        """The memory that the server's process holds at this moment."""
        status = pathlib.Path(f"/proc/{self.process.pid}/status").read_text()
        return int(re.search(r"VmRSS:\s+(\d+) kB", status).group(1)) * 1024

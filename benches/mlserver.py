# suite: trees
"""One row of Open Inference Protocol JSON against a LightGBM model of 100 trees of 31 leaves over 28 features: Mainspring beside
MLServer with its LightGBM runtime and two workers, both started here, driven in turns by the same load generator.

The bar: at least 25 times MLServer's requests a second, at 16 and at 64 connections.
"""

import json
import os
import pathlib
import re
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
import venv

import lightgbm as lgb
import numpy as np

BAR = 25.0
CONNECTIONS = [1, 16, 64]
ROUNDS = 3
SECONDS = 4
# newer versions of uvloop give a worker of MLServer 1.7 no event loop
PACKAGES = ["mlserver==1.7.1", "mlserver-lightgbm==1.7.1", "uvloop==0.21.0", "lightgbm==4.7.0"]

BINARY = os.environ["MAINSPRING_BINARY"]
DRIVER = pathlib.Path(os.environ["MAINSPRING_BENCHES"]) / "infer"


def mlserver() -> pathlib.Path:
    """MLServer in an environment of its own, which is kept."""
    folder = pathlib.Path(os.environ["MAINSPRING_BENCHES"]).parent / "bench-mlserver"
    program = folder / "bin" / "mlserver"
    if not program.exists():
        venv.create(folder, with_pip=True, clear=True)
        subprocess.run([folder / "bin" / "pip", "install", "-q", *PACKAGES], check=True)
    return program


def free_port() -> int:
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        return held.getsockname()[1]


def model(folder: pathlib.Path) -> pathlib.Path:
    random = np.random.default_rng(7)
    rows = random.random((20_000, 28))
    labels = rows @ random.normal(size=28) + np.sin(rows[:, 0] * 9) + random.normal(size=20_000) * 0.5 > 0
    booster = lgb.train({"objective": "binary", "num_leaves": 31, "verbose": -1}, lgb.Dataset(rows, labels), 100)
    booster.save_model(folder / "model.txt")
    data = [round(float(value), 6) for value in random.random(28)]
    body = {"inputs": [{"name": "input", "shape": [1, 28], "datatype": "FP64", "data": data}]}
    (folder / "body.json").write_text(json.dumps(body))
    return folder / "model.txt"


def ask(address: str, body: bytes) -> float:
    request = urllib.request.Request(
        f"http://{address}/v2/models/bench/infer", body, {"content-type": "application/json"}
    )
    with urllib.request.urlopen(request, timeout=5) as answer:
        return np.ravel(json.load(answer)["outputs"][0]["data"])[0]


def drive(address: str, folder: pathlib.Path, connections: int, seconds: int) -> dict:
    words = [DRIVER, "--drive", address, "--path", "/v2/models/bench/infer", "--body", folder / "body.json"]
    words += ["--connections", str(connections), "--seconds", str(seconds)]
    return json.loads(subprocess.run(words, check=True, capture_output=True, text=True).stdout)


def start_mlserver(folder: pathlib.Path) -> tuple[subprocess.Popen, str]:
    port = free_port()
    settings = {"host": "127.0.0.1", "http_port": port, "grpc_port": free_port(), "metrics_port": free_port()}
    (folder / "settings.json").write_text(json.dumps({**settings, "parallel_workers": 2, "debug": False}))
    implementation = {"implementation": "mlserver_lightgbm.LightGBMModel", "parameters": {"uri": "./model.txt"}}
    (folder / "model-settings.json").write_text(json.dumps({"name": "bench", **implementation}))
    log = (folder / "mlserver.log").open("w")
    return subprocess.Popen([mlserver(), "start", folder], stdout=log, stderr=log), f"127.0.0.1:{port}"


def start_mainspring(folder: pathlib.Path, file: pathlib.Path) -> tuple[subprocess.Popen, str]:
    folder.mkdir()
    for words in (["register", "bench", file], ["deploy", "bench"]):
        subprocess.run([BINARY, "-C", folder, *words], check=True, capture_output=True)
    words = [BINARY, "-C", folder, "serve", "--listen", "127.0.0.1:0"]
    server = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    return server, re.search(r"127\.0\.0\.1:\d+", server.stdout.readline()).group()


def main() -> int:
    folder = pathlib.Path(tempfile.mkdtemp(prefix="bench-mlserver-"))
    file = model(folder)
    body = (folder / "body.json").read_bytes()
    peer, theirs = start_mlserver(folder)
    server, ours = start_mainspring(folder / "served", file)
    try:
        for _ in range(120):
            try:
                difference = abs(ask(ours, body) - ask(theirs, body))
                break
            except OSError:
                time.sleep(0.5)
        else:
            raise SystemExit(f"MLServer did not come up:\n{(folder / 'mlserver.log').read_text()}")
        assert difference < 1e-6, f"the answers differ by {difference}"
        print(f"{'connections':>11}  {'mainspring/s':>12} {'MLServer/s':>10} {'ratio':>6}  p99 us {'ours':>7} {'theirs':>8}")
        held = True
        for connections in CONNECTIONS:
            measured = {ours: [], theirs: []}
            for turn in range(ROUNDS + 1):
                for address in measured:
                    one = drive(address, folder, connections, SECONDS if turn else 1)
                    # the first turn only warms up
                    if turn:
                        measured[address].append(one)
            mean = lambda address, key: float(np.mean([one[key] for one in measured[address]]))
            ratio = mean(ours, "per_second") / mean(theirs, "per_second")
            held &= ratio >= BAR or connections == 1
            print(
                f"{connections:>11}  {mean(ours, 'per_second'):>12.0f} {mean(theirs, 'per_second'):>10.0f} {ratio:>6.1f}"
                f"         {mean(ours, 'p99_us'):>7.0f} {mean(theirs, 'p99_us'):>8.0f}"
            )
        print(f"bar: at least {BAR:.0f} times at 16 and 64 connections: {'held' if held else 'missed'}")
        return 0 if held else 1
    finally:
        server.terminate()
        peer.terminate()


if __name__ == "__main__":
    sys.exit(main())

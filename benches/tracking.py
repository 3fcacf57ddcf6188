"""Tracking against `mlflow server` over SQLite: single metrics and batches of 1,000, from 1 and 8 processes; then, on our
side alone, a search over 100,000 runs and ten million points on one run.

Both sides are spoken to by the same small program (`tracking_load`), one process and one kept-alive connection a client, so
that what is measured is the server.

usage: python benches/tracking.py [--seconds 5] [--runs 100000] [--points 10000000] [--without-peer]
"""
# suite: mlflow

import argparse
import http.client
import json
import multiprocessing
import os
import pathlib
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request

from harness import Server

API = "/api/2.0/mlflow/"
PROCESSES = (1, 8)
BATCH = 1_000
LOAD = pathlib.Path(os.environ["MAINSPRING_BENCHES"]) / "tracking_load"


class Session:
    """One kept-alive connection."""

    def __init__(self, port):
        self.connection = http.client.HTTPConnection("127.0.0.1", port, timeout=120)
        self.connection.connect()
        self.connection.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def ask(self, method, path, body=None):
        self.connection.request(method, path, body, {"content-type": "application/json"})
        answer = self.connection.getresponse()
        data = answer.read()
        if answer.status != 200:
            raise RuntimeError(f"{path}: {answer.status} {data[:300]}")
        return data

    def post(self, path, **body):
        return json.loads(self.ask("POST", API + path, json.dumps(body)))

    def get(self, path):
        return json.loads(self.ask("GET", path))


def make_run(session, experiment="0", **words):
    run = session.post("runs/create", experiment_id=experiment, start_time=int(time.time() * 1000), **words)
    return run["run"]["info"]["run_id"]


def batches(session, run_id, step):
    points = [
        {"key": "loss", "value": i * 0.5, "timestamp": 1_700_000_000_000 + i, "step": i}
        for i in range(step * BATCH, (step + 1) * BATCH)
    ]
    session.post("runs/log-batch", run_id=run_id, metrics=points)


def rate(port, what, processes, seconds, run_id=None, step=0):
    """Requests a second of so many clients together, and the median and 99th percentile of one, in milliseconds. Each client
    logs to a run of its own, or to the one given, from a step on."""
    session = Session(port)
    clients = []
    for _ in range(processes):
        words = [LOAD, f"127.0.0.1:{port}", str(seconds), what, run_id or make_run(session), str(step)]
        clients.append(subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True))
    for client in clients:
        assert client.stdout.readline() == "ready\n"
    for client in clients:
        client.stdin.write("go\n")
        client.stdin.flush()
    times = []
    for client in clients:
        said, _ = client.communicate(timeout=seconds + 300)
        assert client.returncode == 0, "a client ended with an error"
        times += json.loads(said)
    times.sort()
    return len(times) / seconds, times[len(times) // 2] / 1e3, times[int(len(times) * 0.99)] / 1e3


def measure(port, seconds):
    measured = {}
    for name, what in (("single metrics", "single"), ("batches of 1,000", "batch")):
        for processes in PROCESSES:
            rate(port, what, 1, min(seconds, 1))
            measured[name, processes] = rate(port, what, processes, seconds)
    return measured


class Peer:
    """`mlflow server` over SQLite, with the workers it starts by default."""

    def __init__(self, folder):
        self.folder = folder

    def __enter__(self):
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        words = ["server", "--host", "127.0.0.1", "--port", str(self.port)]
        words += ["--backend-store-uri", f"sqlite:///{self.folder}/mlflow.db"]
        words += ["--default-artifact-root", f"{self.folder}/artifacts"]
        log = open(self.folder / "log", "wb")
        # its runners of background jobs would only take time from it
        environment = {**os.environ, "MLFLOW_DISABLE_TELEMETRY": "true", "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
        line = [sys.executable, "-m", "mlflow", *words]
        self.process = subprocess.Popen(line, stdout=log, stderr=log, env=environment, start_new_session=True)
        for _ in range(240):
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/health", timeout=5):
                    return self
            except OSError:
                time.sleep(0.5)
        raise RuntimeError(f"mlflow server did not start; see {self.folder}/log")

    def __exit__(self, *_):
        os.killpg(self.process.pid, 15)
        self.process.wait(timeout=60)


def fill(port, experiment, first, last, done):
    session = Session(port)
    for at in range(first, last):
        tags = [{"key": "kind", "value": "odd" if at % 2 else "even"}]
        run_id = make_run(session, experiment, run_name=f"run {at}", tags=tags)
        params = [{"key": f"p{i}", "value": str((at * (i + 1)) % 97)} for i in range(10)]
        value = (at * 7919) % 100_003 / 100_003
        metrics = [{"key": f"m{i}", "value": value + i, "timestamp": at, "step": 1} for i in range(10)]
        session.post("runs/log-batch", run_id=run_id, params=params, metrics=metrics)
    done.put(last - first)


def search(port, runs):
    experiment = Session(port).post("experiments/create", name="many")["experiment_id"]
    done, workers, part = multiprocessing.Queue(), [], -(-runs // 8)
    begun = time.perf_counter()
    for first in range(0, runs, part):
        words = (port, experiment, first, min(first + part, runs), done)
        workers.append(multiprocessing.Process(target=fill, args=words))
        workers[-1].start()
    made = sum(done.get(timeout=3_600) for _ in workers)
    took = time.perf_counter() - begun
    print(f"\n{made:,} runs with 10 params and 10 metrics made in {took:.0f} s ({made / took:,.0f} a second)")
    session = Session(port)
    for words in (
        {"filter": "metrics.m0 > 0.5 AND params.p1 = '42'", "order_by": ["metrics.m0 DESC"]},
        {"filter": "metrics.m0 > 0.5 AND tags.kind = 'odd'", "order_by": ["metrics.m3 ASC"]},
        {"filter": "", "order_by": ["metrics.m9 DESC"]},
    ):
        times = []
        for _ in range(20):
            begun = time.perf_counter()
            found = session.post("runs/search", experiment_ids=[experiment], max_results=100, **words)
            times.append((time.perf_counter() - begun) * 1e3)
        times.sort()
        print(f"  search {json.dumps(words)}: {len(found['runs'])} on the page, median {times[10]:.1f} ms, worst {times[-1]:.1f} ms")


def long_history(port, points):
    session = Session(port)
    run_id = make_run(session, run_name="long")
    total, window = points // BATCH, max(points // BATCH // 20, 1)
    marks, begun = [], time.perf_counter()
    for step in range(total):
        batches(session, run_id, step)
        if (step + 1) % window == 0:
            now = time.perf_counter()
            marks.append(window / (now - begun))
            begun = now
    rates = ", ".join(f"{mark:.0f}" for mark in marks)
    print(f"\n{points:,} points on one run, batches of 1,000 a second by twentieths: {rates}")
    for words in ("max_results=320", "max_results=2500", f"max_results=320&start_step=1000&end_step={points // 2}"):
        times = []
        for _ in range(20):
            begun = time.perf_counter()
            path = f"/ajax-api/2.0/mlflow/metrics/get-history-bulk-interval?run_ids={run_id}&metric_key=loss&{words}"
            found = session.get(path)["metrics"]
            times.append((time.perf_counter() - begun) * 1e3)
        times.sort()
        print(f"  sampled {words}: {len(found)} points, median {times[10]:.1f} ms, worst {times[-1]:.1f} ms")
    for what, step in (("single", points), ("batch", 2 * points // BATCH)):
        done, median, worst = rate(port, what, 1, 3, run_id, step)
        print(f"  then {what}: {done:,.0f} a second, median {median:.2f} ms, p99 {worst:.2f} ms")


def main():
    options = argparse.ArgumentParser()
    options.add_argument("--seconds", type=float, default=5)
    options.add_argument("--runs", type=int, default=100_000)
    options.add_argument("--points", type=int, default=10_000_000)
    options.add_argument("--without-peer", action="store_true")
    options = options.parse_args()
    with tempfile.TemporaryDirectory(dir=os.environ.get("BENCH_FOLDER")) as folder:
        folder = pathlib.Path(folder)
        theirs = {}
        if not options.without_peer:
            with Peer(folder) as peer:
                theirs = measure(peer.port, options.seconds)
        with Server(folder / "project") as server:
            ours = measure(server.port, options.seconds)
            print("requests a second (median and p99 of one request in ms); each of ours is on disk when it is answered")
            for key, (done, median, worst) in ours.items():
                name, processes = key
                line = f"  {name} from {processes}: Mainspring {done:,.0f} ({median:.2f}, {worst:.2f})"
                if key in theirs:
                    peer, peer_median, peer_worst = theirs[key]
                    line += f", mlflow server {peer:,.1f} ({peer_median:.1f}, {peer_worst:.1f}), {done / peer:,.0f} times"
                print(line, flush=True)
            if options.runs:
                search(server.port, options.runs)
            if options.points:
                long_history(server.port, options.points)
            print(f"resident at the end: {server.resident_bytes() / 1e6:.0f} MB")


if __name__ == "__main__":
    main()

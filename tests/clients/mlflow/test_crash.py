"""What was acknowledged is there after `kill -9`: the test keeps its own list."""

import threading

import requests
from harness import PATIENCE, Server, waited

WRITERS = 4
ROUNDS = 3
ENOUGH = 30
"""Points of each writer in each round."""


def write(url, run_id, writer, start, acknowledged, stop):
    """Logs point after point until the server is gone; a point counts once it was answered."""
    session = requests.Session()
    step = start
    while not stop.is_set():
        body = {"run_id": run_id, "key": f"m{writer}", "value": step + 0.5, "timestamp": step, "step": step}
        try:
            answer = session.post(f"{url}/api/2.0/mlflow/runs/log-metric", json=body, timeout=PATIENCE)
        except requests.RequestException:
            return
        assert answer.status_code == 200, answer.text
        acknowledged[writer].append(step)
        if step % 10 == 0:
            tag = {"run_id": run_id, "key": f"t{writer}", "value": str(step)}
            try:
                done = session.post(f"{url}/api/2.0/mlflow/runs/set-tag", json=tag, timeout=PATIENCE)
            except requests.RequestException:
                return
            assert done.status_code == 200, done.text
            acknowledged["tags"][f"t{writer}"] = step
        step += 1


def history(url, run_id, key):
    points, token = [], ""
    while True:
        words = {"run_id": run_id, "metric_key": key, "page_token": token}
        page = requests.get(f"{url}/api/2.0/mlflow/metrics/get-history", params=words, timeout=PATIENCE).json()
        points += [(point["step"], point["value"]) for point in page.get("metrics", [])]
        if not (token := page.get("next_page_token")):
            return points


def test_every_acknowledged_point_survives_a_kill(tmp_path):
    acknowledged = {"tags": {}, **{writer: [] for writer in range(WRITERS)}}
    run_id = None
    for _ in range(ROUNDS):
        with Server(tmp_path / "project") as server:
            if run_id is None:
                made = server.post("/api/2.0/mlflow/runs/create", {"experiment_id": "0", "start_time": 1})
                run_id = made["run"]["info"]["run_id"]
            stop = threading.Event()
            begun = {writer: len(acknowledged[writer]) for writer in range(WRITERS)}
            threads = []
            for writer in range(WRITERS):
                start = max(acknowledged[writer], default=-1) + 1
                words = (server.url, run_id, writer, start, acknowledged, stop)
                threads.append(threading.Thread(target=write, args=words))
                threads[-1].start()

            def enough():
                assert all(thread.is_alive() for thread in threads), "a writer ended early"
                return all(len(acknowledged[writer]) >= count + ENOUGH for writer, count in begun.items())

            waited(enough)
            server.kill()
            stop.set()
            for thread in threads:
                thread.join(timeout=PATIENCE)

    with Server(tmp_path / "project") as server:
        for writer in range(WRITERS):
            points = dict(history(server.url, run_id, f"m{writer}"))
            lost = [step for step in acknowledged[writer] if points.get(step) != step + 0.5]
            assert not lost, f"writer {writer} was told of {lost}"
        run = server.json(f"/api/2.0/mlflow/runs/get?run_id={run_id}")["run"]
        latest = {metric["key"]: metric["step"] for metric in run["data"]["metrics"]}
        for writer in range(WRITERS):
            assert latest[f"m{writer}"] >= acknowledged[writer][-1]
        tags = {tag["key"]: tag["value"] for tag in run["data"]["tags"]}
        for key, step in acknowledged["tags"].items():
            assert int(tags[key]) >= step

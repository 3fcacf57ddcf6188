"""What is applied while the server runs is answered at once, not only when the server looks at the catalog again."""

import shutil

import pytest
import requests

from conftest import ago
from harness import PATIENCE, Server, mainspring


@pytest.fixture(scope="module")
def following(rides, tmp_path_factory):
    """A server over a copy of the project, so that what is applied here is nobody else's."""
    project = tmp_path_factory.mktemp("following") / "project"
    shutil.copytree(rides.project, project, ignore=shutil.ignore_patterns(".mainspring"))
    mainspring(project, "apply", "--yes")
    mainspring(project, "run")
    with Server(project) as server:
        yield server


def applied(server, path, text):
    (server.folder / path).write_text(text)
    mainspring(server.folder, "apply", "--yes")


def test_service_is_read_right_after_it_is_applied(following):
    for number in range(4):
        name = f"board_{number}"
        applied(following, f"features/{name}.yaml", f"feature_service: {name}\nfeatures: [driver_stats.trips]\n")

        body = {"entities": {"driver_id": [1001]}, "feature_service": name}
        answer = requests.post(f"{following.url}/get-online-features", json=body, timeout=PATIENCE)

        assert answer.status_code == 200, answer.text
        assert answer.json()["results"][1]["values"] == [13]


def test_push_is_taken_right_after_its_source_is_applied(following):
    for number in range(4):
        source = f"source: clicks_{number}\npush: [clicks-{number}]\nevent_time: at\n"
        columns = "columns: [{name: driver_id, type: int64}, {name: at, type: timestamp}, {name: clicks, type: int64}]\n"
        applied(following, f"sources/clicks_{number}.yaml", source + columns)

        frame = {"driver_id": [1], "at": [ago(minutes=1).isoformat()], "clicks": [2]}
        body = {"push_source_name": f"clicks-{number}", "df": frame}
        answer = requests.post(f"{following.url}/push", json=body, timeout=PATIENCE)

        assert answer.status_code == 200, answer.text


def test_what_is_not_applied_is_still_not_found(following):
    body = {"entities": {"driver_id": [1001]}, "feature_service": "nobody"}
    answer = requests.post(f"{following.url}/get-online-features", json=body, timeout=PATIENCE)
    assert answer.status_code == 404 and "FeatureServiceNotFoundException" in answer.text

"""Artifacts through the server: by the client, by its command line, and by what a hostile client would send."""

import hashlib
import json
import os
import socket
import subprocess
import sys
import threading
import urllib.error
import urllib.parse
import urllib.request
import uuid

import mlflow
import mlflow.cli
import pytest
from click.testing import CliRunner
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException

from harness import PATIENCE, Server, waited

# what the suite sends up and down; MAINSPRING_ARTIFACT_MB=2048 tries what is promised
LARGE_MB = int(os.environ.get("MAINSPRING_ARTIFACT_MB", "600"))
MEMORY_MAX = 200 << 20


def in_bucket(folder):
    """Has the server over a folder keep artifacts in a place of its own in the bucket."""
    files = f"{os.environ['MAINSPRING_TEST_BUCKET']}/{uuid.uuid4().hex}"
    (folder / "mainspring.yaml").write_text(f"project: bucket\ntargets:\n  dev:\n    files: {files}\n")


@pytest.fixture(scope="module")
def folder_server(tmp_path_factory):
    with Server(tmp_path_factory.mktemp("artifacts")) as server:
        yield server


@pytest.fixture(scope="module")
def bucket_server(tmp_path_factory):
    folder = tmp_path_factory.mktemp("artifacts-in-a-bucket")
    in_bucket(folder)
    with Server(folder) as server:
        yield server


@pytest.fixture(params=["folder", "bucket"])
def server(request):
    """Each test runs with both places that artifacts lie in."""
    return request.getfixturevalue(f"{request.param}_server")


in_a_folder = pytest.mark.parametrize("server", ["folder"], indirect=True)
in_a_bucket = pytest.mark.parametrize("server", ["bucket"], indirect=True)


@pytest.fixture
def client(server):
    mlflow.set_tracking_uri(server.url)
    mlflow.set_registry_uri(server.url)
    return MlflowClient()


def raw(server, method, target, body=b"", headers=()):
    """A request whose target goes out as it stands: URL libraries would tidy it up."""
    with socket.create_connection(("127.0.0.1", server.port), timeout=PATIENCE) as connection:
        lines = [f"{method} {target} HTTP/1.1", f"Host: 127.0.0.1:{server.port}", "Connection: close"]
        lines += [f"Content-Length: {len(body)}", *headers]
        connection.sendall("\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + body)
        answer = b""
        while part := connection.recv(65536):
            answer += part
    head, _, body = answer.partition(b"\r\n\r\n")
    return int(head.split()[1]), head.decode("latin-1").lower(), body


def held(client, run_id, folder=None):
    """What a folder holds. The bucket's server goes on listing a folder for a while after its last file is gone."""
    listed = client.list_artifacts(run_id, folder)
    return {info.path for info in listed if not info.is_dir or held(client, run_id, info.path)}


def test_files_and_folders_go_up_are_listed_come_down_and_are_deleted(client, tmp_path):
    run = client.create_run("0").info
    (tmp_path / "up/deep").mkdir(parents=True)
    files = {"a.txt": b"one", "deep/b 100%.bin": bytes(range(256)) * 400, "deep/\u00e9.json": b"{}", "empty": b""}
    for name, content in files.items():
        (tmp_path / "up" / name).write_bytes(content)
    client.log_artifacts(run.run_id, str(tmp_path / "up"), "folder")
    client.log_artifact(run.run_id, str(tmp_path / "up/a.txt"))
    client.log_dict(run.run_id, {"k": [1, 2]}, "dict.json")

    listed = {(info.path, info.is_dir, info.file_size) for info in client.list_artifacts(run.run_id)}
    assert listed == {("a.txt", False, 3), ("dict.json", False, 23), ("folder", True, None)} or {
        name for name, _, _ in listed
    } == {"a.txt", "dict.json", "folder"}
    inner = {info.path: info.file_size for info in client.list_artifacts(run.run_id, "folder/deep")}
    assert inner == {"folder/deep/b 100%.bin": 102400, "folder/deep/\u00e9.json": 2}
    assert client.list_artifacts(run.run_id, "folder/a.txt") == []
    assert client.list_artifacts(run.run_id, "nothing") == []

    down = client.download_artifacts(run.run_id, "folder", str(tmp_path))
    for name, content in files.items():
        assert open(os.path.join(down, name), "rb").read() == content, name
    assert mlflow.artifacts.load_dict(f"runs:/{run.run_id}/dict.json") == {"k": [1, 2]}

    repository = mlflow.store.artifact.artifact_repository_registry.get_artifact_repository(run.artifact_uri)
    repository.delete_artifacts("folder/deep")
    assert held(client, run.run_id, "folder") == {"folder/a.txt", "folder/empty"}
    repository.delete_artifacts("folder")
    assert held(client, run.run_id) == {"a.txt", "dict.json"}
    with pytest.raises(Exception, match="Failed to download artifacts"):
        client.download_artifacts(run.run_id, "folder/a.txt", str(tmp_path))


def test_the_command_line_logs_lists_and_downloads(server, client, tmp_path):
    run = client.create_run("0").info
    (tmp_path / "note.txt").write_text("by hand")
    environment = {**os.environ, "MLFLOW_TRACKING_URI": server.url}
    logs = ["log-artifact", "--local-file", str(tmp_path / "note.txt"), "--run-id", run.run_id, "--artifact-path", "notes"]
    done = subprocess.run(
        [sys.executable, "-m", "mlflow", "artifacts", *logs],
        capture_output=True, text=True, env=environment, timeout=PATIENCE, cwd=tmp_path,
    )
    assert done.returncode == 0, done.stderr

    def command(*words):
        # the same entry point, without the many seconds that a process takes to import it
        done = CliRunner().invoke(mlflow.cli.cli, ["artifacts", *words], env=environment)
        assert done.exit_code == 0, done.output
        return done.output

    assert '"notes/note.txt"' in command("list", "--run-id", run.run_id, "--artifact-path", "notes")
    target = command("download", "--run-id", run.run_id, "--artifact-path", "notes", "--dst-path", str(tmp_path / "d"))
    assert (tmp_path / "d/notes/note.txt").read_text() == "by hand", target


def test_the_browsers_ways_to_an_artifact(server, client):
    run = client.create_run("0").info
    client.log_text(run.run_id, "<script>alert(1)</script>", "page.html")
    client.log_text(run.run_id, "flavors: {}", "model/MLmodel")
    client.create_registered_model("browsed")
    client.create_model_version("browsed", f"{run.artifact_uri}/model", run.run_id)
    for target in [f"/get-artifact?path=page.html&run_id={run.run_id}", f"/get-artifact?path=page.html&run_uuid={run.run_id}"]:
        status, head, body = raw(server, "GET", target)
        assert status == 200 and body == b"<script>alert(1)</script>"
        assert "content-disposition: attachment; filename=\"page.html\"; filename*=utf-8''page%2ehtml" in head
        assert "x-content-type-options: nosniff" in head
        assert "content-type: text/plain" in head
    status, _, body = raw(server, "GET", "/model-versions/get-artifact?path=MLmodel&name=browsed&version=1")
    assert (status, body) == (200, b"flavors: {}")
    target = f"/ajax-api/2.0/mlflow/upload-artifact?run_uuid={run.run_id}&path=up/by-browser.bin"
    assert raw(server, "POST", target, b"\x80\x04data")[0] == 200
    assert raw(server, "GET", f"/get-artifact?path=up/by-browser.bin&run_id={run.run_id}")[2] == b"\x80\x04data"
    assert raw(server, "POST", target, b"x" * (10 * 1024 * 1024 + 1))[0] == 400
    model = client.create_logged_model("0", name="browsed")
    store = f"/api/2.0/mlflow-artifacts/artifacts/0/models/{model.model_id}/artifacts/MLmodel"
    assert raw(server, "PUT", store, b"flavors: {}")[0] == 200
    base = f"/ajax-api/2.0/mlflow/logged-models/{model.model_id}/artifacts"
    assert raw(server, "GET", f"{base}/files?artifact_file_path=MLmodel")[2] == b"flavors: {}"
    assert b'"MLmodel"' in raw(server, "GET", f"{base}/directories")[2]


def test_a_part_of_a_file_comes_down(server, client):
    run = client.create_run("0").info
    client.log_text(run.run_id, "0123456789", "digits.txt")
    for target in [
        f"/get-artifact?path=digits.txt&run_id={run.run_id}",
        f"/api/2.0/mlflow-artifacts/artifacts/0/{run.run_id}/artifacts/digits.txt",
    ]:
        assert "accept-ranges: bytes" in raw(server, "GET", target)[1]
        for asked, part, body in [("2-4", "2-4", b"234"), ("7-", "7-9", b"789"), ("-1", "9-9", b"9"), ("8-99", "8-9", b"89")]:
            status, head, got = raw(server, "GET", target, headers=[f"Range: bytes={asked}"])
            assert (status, got) == (206, body), asked
            assert f"content-range: bytes {part}/10" in head and f"content-length: {len(body)}" in head
        status, head, _ = raw(server, "GET", target, headers=["Range: bytes=10-"])
        assert status == 416 and "content-range: bytes */10" in head
        assert raw(server, "GET", target, headers=["Range: bytes=0-1,4-5"])[::2] == (200, b"0123456789")


@pytest.mark.parametrize("path", ["logged-models/%E4", "logged-models/%E4/tags/x", "webhooks/%E4"])
def test_a_path_that_is_no_text_is_refused_in_mlflows_form(server, path):
    method = "DELETE" if "tags" in path else "GET"
    status, head, body = raw(server, method, f"/api/2.0/mlflow/{path}")
    assert status == 400 and "content-type: application/json" in head
    assert b'"error_code":"INVALID_PARAMETER_VALUE"' in body


HOSTILE = [
    "..", "../x", "a/../../x", "a/..", "%2e%2e/x", "%2e%2e%2fx", "%252e%252e%252fx", "%25252e%25252e/x", "..%2fx", "..%5cx",
    "a%5c..%5c..%5cx", "%5c%5chost%5cshare", "/etc/passwd", "%2fetc%2fpasswd", "%252fetc%252fpasswd", "c:/x", "C:%5cx",
    "file:/etc/passwd", "file:///etc/passwd", "file:%2f%2f%2fetc/passwd", "%2566ile:/x", "a%00b", "a%0ab", "a%2500b",
    "a/./b", "a/%2e/b", ".uploads/x", "%2euploads/x", "%ff%fe",
]


@pytest.mark.parametrize("path", HOSTILE)
def test_hostile_paths_are_refused_in_mlflows_form(server, client, path):
    run = client.create_run("0").info
    prefix = "/api/2.0/mlflow-artifacts/artifacts/"
    targets = [("GET", prefix + path), ("PUT", prefix + path), ("DELETE", prefix + path)]
    targets += [
        ("GET", f"/api/2.0/mlflow-artifacts/artifacts?path={path}"),
        ("GET", f"/get-artifact?run_id={run.run_id}&path={path}"),
        ("GET", f"/api/2.0/mlflow/artifacts/list?run_id={run.run_id}&path={path}"),
        ("POST", f"/ajax-api/2.0/mlflow/upload-artifact?run_uuid={run.run_id}&path={path}"),
    ]
    for method, target in targets:
        status, head, body = raw(server, method, target, b"x")
        # a slash at the start is a doubled slash of the URL, which is one
        if path.startswith("/") and prefix in target:
            assert status in (200, 400, 404), (method, target, status)
            continue
        assert status == 400, (method, target, status, body)
        assert b'"error_code"' in body and "application/json" in head, (method, target, body)
    outside = server.folder / "x"
    assert not outside.exists() and not (server.folder / ".mainspring/x").exists()


@in_a_folder
def test_links_in_the_stores_folder_lead_nowhere(server, client, tmp_path):
    run = client.create_run("0").info
    client.log_text(run.run_id, "inside", "a.txt")
    (tmp_path / "secret").write_text("outside")
    folder = server.folder / ".mainspring/files/0" / run.run_id / "artifacts"
    (folder / "way").symlink_to(tmp_path)
    (folder / "file").symlink_to(tmp_path / "secret")
    prefix = f"/api/2.0/mlflow-artifacts/artifacts/0/{run.run_id}/artifacts"
    for method, name in [(m, n) for m in ["GET", "PUT", "DELETE"] for n in ["way/secret", "file", "way/new", "way"]]:
        status, _, body = raw(server, method, f"{prefix}/{name}", b"changed")
        assert status == 400 and b"symbolic link" in body, (method, name, body)
    assert [info.path for info in client.list_artifacts(run.run_id)] == ["a.txt"]
    assert (tmp_path / "secret").read_text() == "outside" and not (tmp_path / "new").exists()


def test_an_upload_that_breaks_off_leaves_what_was_there(server, client):
    run = client.create_run("0").info
    client.log_text(run.run_id, "before", "kept.txt")
    target = f"/api/2.0/mlflow-artifacts/artifacts/0/{run.run_id}/artifacts/kept.txt"
    for name in [target, target.replace("kept", "new")]:
        with socket.create_connection(("127.0.0.1", server.port), timeout=PATIENCE) as connection:
            connection.sendall(f"PUT {name} HTTP/1.1\r\nHost: 127.0.0.1:{server.port}\r\nContent-Length: 5000000\r\n\r\n".encode())
            connection.sendall(b"x" * 3_000_000)
    assert mlflow.artifacts.load_text(f"runs:/{run.run_id}/kept.txt") == "before"
    assert [info.path for info in client.list_artifacts(run.run_id)] == ["kept.txt"]
    with pytest.raises(MlflowException):
        mlflow.artifacts.load_text(f"runs:/{run.run_id}/new.txt")


@in_a_folder
def test_presigned_transfers_of_a_folder_are_answered_as_not_implemented(server, client):
    run = client.create_run("0").info
    status, _, body = raw(server, "GET", f"/api/2.0/mlflow-artifacts/presigned/0/{run.run_id}/artifacts/x")
    assert status == 501 and b"NOT_IMPLEMENTED" in body, (status, body)
    for way in ["upload", "download"]:
        body = json.dumps({"run_id": run.run_id, "path": "x"}).encode()
        kind = ["Content-Type: application/json"]
        status, _, body = raw(server, "POST", f"/api/2.0/mlflow/artifacts/presigned-{way}-url", body, kind)
        assert status == 501 and b"NOT_IMPLEMENTED" in body, (status, body)


@in_a_bucket
def test_a_client_fetches_files_from_the_bucket_without_being_told_to(server, client, tmp_path, monkeypatch):
    monkeypatch.setenv("MLFLOW_MULTIPART_DOWNLOAD_MINIMUM_FILE_SIZE", "1")
    monkeypatch.setenv("MLFLOW_MULTIPART_DOWNLOAD_CHUNK_SIZE", str(5 << 20))
    run = client.create_run("0").info
    content = os.urandom(12 << 20)
    (tmp_path / "large \u00e9.bin").write_bytes(content)
    client.log_artifact(run.run_id, str(tmp_path / "large \u00e9.bin"), "deep")
    asked = []
    chunk = mlflow.store.artifact.http_artifact_repo.download_chunk
    monkeypatch.setattr(
        mlflow.store.artifact.http_artifact_repo,
        "download_chunk",
        lambda **words: (asked.append(words["http_uri"]), chunk(**words))[1],
    )
    down = client.download_artifacts(run.run_id, "deep/large \u00e9.bin", str(tmp_path / "down"))
    assert open(down, "rb").read() == content
    assert len(asked) == 3 and all(url.startswith(os.environ["AWS_ENDPOINT_URL"]) for url in asked), asked


def test_a_client_is_told_whether_large_files_may_go_straight_to_the_bucket(server, client):
    run = client.create_run("0").info
    repository = mlflow.store.artifact.artifact_repository_registry.get_artifact_repository(run.artifact_uri)
    in_a_bucket = not (server.folder / ".mainspring/files").exists()
    assert repository._is_multipart_upload_enabled() is in_a_bucket
    assert repository._is_multipart_download_enabled() is in_a_bucket


@in_a_bucket
def test_signed_addresses_let_their_bearer_do_what_they_were_asked_for(server, client):
    run = client.create_run("0").info
    ask = lambda way, **words: server.post(f"/api/2.0/mlflow/artifacts/presigned-{way}-url", words)
    sent = ask("upload", run_id=run.run_id, path="deep/by address.txt", expiration=60)
    urllib.request.urlopen(urllib.request.Request(sent["presigned_url"], b"sent there", method="PUT"), timeout=PATIENCE)
    assert mlflow.artifacts.load_text(f"runs:/{run.run_id}/deep/by address.txt") == "sent there"
    model = client.create_logged_model("0", name="m", source_run_id=run.run_id)
    sent = ask("upload", model_id=model.model_id, path="MLmodel")
    urllib.request.urlopen(urllib.request.Request(sent["presigned_url"], b"flavors: {}", method="PUT"), timeout=PATIENCE)
    assert [info.path for info in client.list_logged_model_artifacts(model.model_id)] == ["MLmodel"]

    got = ask("download", run_id=run.run_id, path="deep/by address.txt", expiration=60)
    assert got["file_size"] == len("sent there")
    assert urllib.request.urlopen(got["presigned_url"], timeout=PATIENCE).read() == b"sent there"
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(urllib.request.Request(got["presigned_url"], b"changed", method="PUT"), timeout=PATIENCE)
    assert refused.value.code == 403
    for way, words, status in [
        ("download", {"run_id": run.run_id, "path": "none"}, 404),
        ("download", {"run_id": "none", "path": "x"}, 404),
        ("download", {"run_id": run.run_id, "path": "../x"}, 400),
        ("download", {"run_id": run.run_id}, 400),
        ("download", {"run_id": run.run_id, "path": "x", "expiration": 604801}, 400),
        ("upload", {"run_id": run.run_id, "path": "x", "expiration": 0}, 400),
        ("upload", {"path": "x"}, 400),
        ("upload", {"run_id": run.run_id, "model_id": model.model_id, "path": "x"}, 400),
    ]:
        with pytest.raises(urllib.error.HTTPError) as refused:
            ask(way, **words)
        assert refused.value.code == status and b"error_code" in refused.value.read(), (way, words)


def test_a_large_file_goes_up_in_parts_when_the_client_is_told_to(server, client, tmp_path, monkeypatch):
    monkeypatch.setenv("MLFLOW_ENABLE_PROXY_MULTIPART_UPLOAD", "true")
    monkeypatch.setenv("MLFLOW_MULTIPART_UPLOAD_MINIMUM_FILE_SIZE", "1")
    monkeypatch.setenv("MLFLOW_MULTIPART_UPLOAD_CHUNK_SIZE", str(5 << 20))
    run = client.create_run("0").info
    content = os.urandom(23 << 20)
    (tmp_path / "in parts 1%.bin").write_bytes(content)
    client.log_artifact(run.run_id, str(tmp_path / "in parts 1%.bin"), "deep/er")
    down = client.download_artifacts(run.run_id, "deep/er/in parts 1%.bin", str(tmp_path / "down"))
    assert open(down, "rb").read() == content
    assert [info.path for info in client.list_artifacts(run.run_id)] == ["deep"]
    uploads = server.folder / ".mainspring/files/.uploads"  # a bucket keeps parts itself
    waited(lambda: not uploads.exists() or list(uploads.iterdir()) == [])  # parts are cleared away

    prefix = f"/api/2.0/mlflow-artifacts/mpu/{{}}/0/{run.run_id}/artifacts"
    kind = ["Content-Type: application/json"]
    for action, body in [
        ("create", b'{"path": "x", "num_parts": 100000}'), ("create", b'{"num_parts": 1}'), ("create", b'{"path": ".."}'),
        ("complete", b'{"path": "x", "upload_id": "../../x", "parts": []}'),
        ("complete", b'{"path": "x", "upload_id": "0190a6d0c0de7000a000000000000000", "parts": [{"part_number": 1}]}'),
    ]:
        status, _, answer = raw(server, "POST", prefix.format(action), body, kind)
        assert status == 400 and b"error_code" in answer, (action, body, answer)


def test_a_large_artifact_passes_through_without_being_held(server, client, tmp_path, monkeypatch):
    # over a bucket the client would go there
    monkeypatch.setenv("MLFLOW_ENABLE_PROXY_MULTIPART_UPLOAD", "false")
    monkeypatch.setenv("MLFLOW_ENABLE_PROXY_MULTIPART_DOWNLOAD", "false")
    run = client.create_run("0").info
    block = os.urandom(1 << 20)
    digest = hashlib.sha256()
    with open(tmp_path / "large.bin", "wb") as file:
        for number in range(LARGE_MB):
            part = number.to_bytes(8, "little") + block[8:]
            file.write(part)
            digest.update(part)
    most, done = 0, threading.Event()

    def watch():
        nonlocal most
        while not done.wait(0.05):
            most = max(most, server.resident_bytes())

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        client.log_artifact(run.run_id, str(tmp_path / "large.bin"))
        (tmp_path / "large.bin").unlink()
        down = client.download_artifacts(run.run_id, "large.bin", str(tmp_path))
    finally:
        done.set()
        watcher.join()
    back = hashlib.sha256()
    with open(down, "rb") as file:
        while part := file.read(1 << 20):
            back.update(part)
    assert back.digest() == digest.digest()
    print(f"{LARGE_MB} MB up and down, at most {most >> 20} MB resident")
    assert most < MEMORY_MAX, f"{most >> 20} MB resident"
    os.unlink(down)
    mlflow.store.artifact.artifact_repository_registry.get_artifact_repository(run.artifact_uri).delete_artifacts("large.bin")


@pytest.mark.parametrize("place", ["folder", "bucket"])
def test_an_artifact_that_was_acknowledged_is_there_after_kill(tmp_path, place):
    if place == "bucket":
        in_bucket(tmp_path)
    with Server(tmp_path) as server:
        target = "/api/2.0/mlflow-artifacts/artifacts/0/r/artifacts/{}"
        for number in range(20):
            assert raw(server, "PUT", target.format(number), bytes([number]) * 100_000)[0] == 200
        server.kill()
        with Server(tmp_path) as again:
            for number in range(20):
                assert raw(again, "GET", target.format(number))[2] == bytes([number]) * 100_000

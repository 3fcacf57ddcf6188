"""Webhooks: made by the client, delivered signed, tried again, and kept from private addresses."""

import base64
import contextlib
import hashlib
import hmac
import http.server
import json
import os
import sqlite3
import threading
import time

import mlflow
import pytest
from mlflow import MlflowClient
from mlflow.entities.webhook import WebhookStatus
from mlflow.exceptions import MlflowException

from harness import Server, waited


class Receiver:
    """A web server that keeps what it is sent, and answers as it is told."""

    def __init__(self):
        self.seen, self.answers = [], []
        receiver = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                receiver.seen.append((dict(self.headers.items()), body))
                status = receiver.answers.pop(0) if receiver.answers else 200
                self.send_response(status)
                if 300 <= status < 400:
                    self.send_header("Location", f"{receiver.url}/elsewhere")
                self.send_header("Content-Length", "2")
                self.end_headers()
                self.wfile.write(b"ok")

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def wait(self, count):
        waited(lambda: len(self.seen) >= count)
        return [json.loads(body) for _, body in self.seen]

    def all_signed_with(self, secret):
        for headers, body in self.seen:
            headers = {name.lower(): value for name, value in headers.items()}
            identity, at = headers["x-mlflow-delivery-id"], headers["x-mlflow-timestamp"]
            mac = hmac.new(secret, f"{identity}.{at}.".encode() + body, hashlib.sha256)
            assert headers["x-mlflow-signature"] == "v1," + base64.b64encode(mac.digest()).decode()


@pytest.fixture
def receiver():
    receiver = Receiver()
    yield receiver
    receiver.server.shutdown()


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with Server(tmp_path_factory.mktemp("webhooks"), "--allow-private-webhooks") as server:
        yield server


@pytest.fixture
def client(server):
    return use(server)


def use(server):
    mlflow.set_tracking_uri(server.url)
    mlflow.set_registry_uri(server.url)
    return MlflowClient()


EVENTS = [
    "registered_model.created", "model_version.created", "model_version_tag.set", "model_version_tag.deleted",
    "model_version_alias.created", "model_version_alias.deleted",
]


def test_what_happens_is_told_signed_and_in_order(client, receiver):
    hook = client.create_webhook("told", receiver.url, EVENTS, description="for the test", secret="a secret")
    run = client.create_run("0").info
    client.create_registered_model("heard", {"a": "b"}, "what")
    client.create_model_version("heard", f"{run.artifact_uri}/model", run.run_id, {"c": "d"}, description="one")
    client.set_model_version_tag("heard", "1", "k", "v")
    client.delete_model_version_tag("heard", "1", "k")
    client.set_registered_model_alias("heard", "champion", "1")
    client.delete_registered_model_alias("heard", "champion")

    told = receiver.wait(6)
    by_event = {f"{event['entity']}.{event['action']}": event["data"] for event in told}
    assert set(by_event) == set(EVENTS)
    assert by_event["registered_model.created"] == {"name": "heard", "tags": {"a": "b"}, "description": "what"}
    assert by_event["model_version.created"] == {
        "name": "heard", "version": "1", "source": f"{run.artifact_uri}/model", "run_id": run.run_id,
        "tags": {"c": "d"}, "description": "one",
    }
    assert by_event["model_version_tag.set"] == {"name": "heard", "version": "1", "key": "k", "value": "v"}
    assert by_event["model_version_tag.deleted"] == {"name": "heard", "version": "1", "key": "k"}
    assert by_event["model_version_alias.created"] == {"name": "heard", "alias": "champion", "version": "1"}
    assert by_event["model_version_alias.deleted"] == {"name": "heard", "alias": "champion"}
    receiver.all_signed_with(b"a secret")
    for headers, _ in receiver.seen:
        headers = {name.lower(): value for name, value in headers.items()}
        at = headers["x-mlflow-timestamp"]
        assert headers["content-type"] == "application/json" and abs(int(at) - time.time()) < 60
    client.delete_webhook(hook.webhook_id)


def test_webhooks_are_listed_changed_tested_and_deleted(client, receiver):
    hook = client.create_webhook("life", receiver.url, ["model_version.created"], secret="s", status="DISABLED")
    assert hook.status == WebhookStatus.DISABLED and hook.secret is None
    assert [str(event) for event in client.get_webhook(hook.webhook_id).events] == ["model_version.created"]
    assert hook.webhook_id in [found.webhook_id for found in client.list_webhooks()]
    changed = client.update_webhook(
        hook.webhook_id, name="life2", events=["registered_model.created"], status="ACTIVE", description="d"
    )
    assert (changed.name, changed.status, changed.description, changed.url) == ("life2", "ACTIVE", "d", receiver.url)
    result = client.test_webhook(hook.webhook_id)
    assert (result.success, result.response_status, result.response_body) == (True, 200, "ok")
    receiver.answers = [500]
    result = client.test_webhook(hook.webhook_id, "model_version_tag.set")
    assert (result.success, result.response_status) == (False, 500)
    assert receiver.wait(2)[1]["data"]["key"] == "example_key"
    client.delete_webhook(hook.webhook_id)
    with pytest.raises(MlflowException, match="not found"):
        client.get_webhook(hook.webhook_id)
    page = [client.create_webhook(f"paged{n}", receiver.url, ["model_version.created"]) for n in range(3)]
    first = client.list_webhooks(max_results=2)
    assert len(first) == 2 and len(client.list_webhooks(max_results=2, page_token=first.token)) == 1
    for hook in page:
        client.delete_webhook(hook.webhook_id)


def test_a_receiver_that_fails_is_tried_again_and_a_redirect_is_not_followed(client, receiver):
    hook = client.create_webhook("again", receiver.url, ["registered_model.created"])
    receiver.answers = [503, 429]
    client.create_registered_model("tried")
    told = receiver.wait(3)
    assert [event["data"]["name"] for event in told] == ["tried"] * 3
    ids = {headers.get("X-Mlflow-Delivery-Id") or headers.get("x-mlflow-delivery-id") for headers, _ in receiver.seen}
    assert len(ids) == 1, "it is one delivery"
    receiver.answers = [302]
    assert client.test_webhook(hook.webhook_id).response_status == 302
    assert len(receiver.seen) == 4
    client.delete_webhook(hook.webhook_id)


def test_what_waits_outlives_a_kill(tmp_path, receiver):
    with Server(tmp_path, "--allow-private-webhooks") as server:
        client = use(server)
        hook = client.create_webhook("kept", receiver.url, ["registered_model.created"])
        receiver.answers = [503] * 2
        client.create_registered_model("late")
        receiver.wait(1)
        server.kill()
        with Server(tmp_path, "--allow-private-webhooks") as again:
            assert [event["data"]["name"] for event in receiver.wait(3)] == ["late"] * 3
            use(again).delete_webhook(hook.webhook_id)


def serving(folder, *keys):
    env = {"MAINSPRING_SECRETS_KEY": ",".join(keys)} if keys else {}
    return Server(folder, "--allow-private-webhooks", env=env)


def database(folder):
    """All that the files of the catalog hold, what was deleted and not yet overwritten too."""
    return b"".join(file.read_bytes() for file in (folder / ".mainspring").glob("catalog.db*"))


def kept_secret(folder, hook):
    with contextlib.closing(sqlite3.connect(folder / ".mainspring" / "catalog.db")) as catalog:
        rows = catalog.execute("select body from documents where kind = 'webhook' and id = ?", [hook.webhook_id])
        return json.loads(rows.fetchone()[0])["secret"]


def test_a_secret_is_not_in_the_database_and_deliveries_are_signed_with_it(tmp_path, receiver):
    old, new = os.urandom(32).hex(), base64.b64encode(os.urandom(32)).decode()
    with serving(tmp_path, old) as server:
        client = use(server)
        hook = client.create_webhook("sealed", receiver.url, ["registered_model.created"], secret="never in the clear")
        client.create_registered_model("one")
        receiver.wait(1)
        assert b'"sealed":"v1:' in database(tmp_path) and b"never in the clear" not in database(tmp_path)
        before = kept_secret(tmp_path, hook)
    with serving(tmp_path, new, old) as server:
        use(server).create_registered_model("two")
        receiver.wait(2)
        assert kept_secret(tmp_path, hook) != before, "it is sealed anew with the first key"
    with serving(tmp_path, new) as server:
        client = use(server)
        assert client.test_webhook(hook.webhook_id).success
        client.create_registered_model("three")
        receiver.wait(4)
    assert b"never in the clear" not in database(tmp_path)
    receiver.all_signed_with(b"never in the clear")


def test_what_no_key_opens_is_not_sent_unsigned_but_waits_for_the_key(tmp_path, receiver):
    key = os.urandom(32).hex()
    with serving(tmp_path, key) as server:
        hook = use(server).create_webhook("shut", receiver.url, ["registered_model.created"], secret="kept")
    for keys in [[], [os.urandom(32).hex()]]:
        with serving(tmp_path, *keys) as server:
            client = use(server)
            client.create_registered_model(f"told later {len(keys)}")
            with pytest.raises(MlflowException, match="MAINSPRING_SECRETS_KEY") as error:
                client.test_webhook(hook.webhook_id)
            assert error.value.error_code == "RESOURCE_CONFLICT"
            time.sleep(1)
    assert receiver.seen == []
    with serving(tmp_path, key) as server:
        assert {event["data"]["name"] for event in receiver.wait(2)} == {"told later 0", "told later 1"}
        receiver.all_signed_with(b"kept")


def test_a_secret_that_was_kept_plain_is_sealed_when_there_is_a_key(tmp_path, receiver):
    with serving(tmp_path) as server:
        hook = use(server).create_webhook("early", receiver.url, ["registered_model.created"], secret="early on")
        assert kept_secret(tmp_path, hook) == "early on"
    with serving(tmp_path, os.urandom(32).hex()) as server:
        use(server).create_registered_model("after")
        receiver.wait(1)
        receiver.all_signed_with(b"early on")
        assert list(kept_secret(tmp_path, hook)) == ["sealed"]
    # the key is lost: a new secret makes the webhook work again
    with serving(tmp_path) as server:
        client = use(server)
        client.update_webhook(hook.webhook_id, secret="another")
        receiver.seen.clear()
        assert client.test_webhook(hook.webhook_id).success
        receiver.all_signed_with(b"another")


@pytest.mark.parametrize("url", [
    "https://127.0.0.1/hook", "https://localhost/hook", "https://[::1]/hook", "https://10.0.0.1/", "https://192.168.1.1/",
    "https://172.16.0.9/", "https://169.254.169.254/latest/meta-data", "https://0.0.0.0/", "https://[fe80::1]/",
    "https://[::ffff:127.0.0.1]/", "https://127.1/", "https://2130706433/", "https://0x7f000001/", "https://[64:ff9b::7f00:1]/",
    "http://93.184.216.34/", "ftp://93.184.216.34/", "file:///etc/passwd", "https://user:word@93.184.216.34/", "https://",
    "nonsense",
])
def test_private_addresses_and_other_schemes_are_refused_unless_allowed(strict, url):
    with pytest.raises(MlflowException) as error:
        use(strict).create_webhook("refused", url, ["model_version.created"])
    assert error.value.error_code == "INVALID_PARAMETER_VALUE", error.value
    assert use(strict).list_webhooks() == []


@pytest.fixture(scope="module")
def strict(tmp_path_factory):
    with Server(tmp_path_factory.mktemp("strict")) as server:
        yield server


def test_an_address_that_was_allowed_once_is_judged_again_before_each_delivery(tmp_path, receiver):
    with Server(tmp_path, "--allow-private-webhooks") as server:
        hook = use(server).create_webhook("before", receiver.url, ["registered_model.created"])
    with Server(tmp_path) as server:
        client = use(server)
        client.create_registered_model("quiet")
        result = client.test_webhook(hook.webhook_id)
        assert not result.success and "scheme" in result.error_message
        time.sleep(1)
        assert receiver.seen == []


def test_names_and_events_have_rules(client, receiver):
    for name in ["", "-a", "a-", "a b", "a" * 64, "a/b"]:
        with pytest.raises(MlflowException):
            client.create_webhook(name, receiver.url, ["model_version.created"])
    with pytest.raises(MlflowException, match="tells of"):
        client.create_webhook("prompts", receiver.url, ["prompt.created"])

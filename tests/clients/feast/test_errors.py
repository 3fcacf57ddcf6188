"""What is wrong is said in Feast's own form, and nothing is half-written."""

import json

import feast.errors
import pandas as pd
import pytest
import requests
from feast import FeatureStore

from harness import PATIENCE

FEATURES = ["driver_stats:trips"]


def post(served, path, body=None, **other):
    if body is not None:
        other["json"] = body
    return requests.post(served.url + path, timeout=PATIENCE, **other)


def detail(answer):
    assert answer.status_code == 422, answer.text
    first = answer.json()["detail"][0]
    assert set(first) == {"type", "loc", "msg", "input"}
    assert first["loc"][0] == "body"
    return first


def feast_error(answer, status=404):
    assert answer.status_code == status, answer.text
    inner = json.loads(answer.json())
    assert inner["module"] == "feast.errors"
    assert issubclass(getattr(feast.errors, inner["class"]), feast.errors.FeastError)
    return inner


@pytest.mark.parametrize(
    "body, at",
    [
        ({"features": FEATURES}, ["body", "entities"]),
        ({"entities": 3, "features": FEATURES}, ["body", "entities"]),
        ({"entities": {"driver_id": 3}, "features": FEATURES}, ["body", "entities", "driver_id"]),
        ({"entities": {"driver_id": [[1]]}, "features": FEATURES}, ["body", "entities", "driver_id", 0]),
        ({"entities": {"driver_id": ["x"]}, "features": FEATURES}, ["body", "entities", "driver_id", 0]),
        ({"entities": {"driver_id": [1]}, "features": "trips"}, ["body", "features"]),
        ({"entities": {"driver_id": [1]}}, ["body", "features"]),
        ({"entities": {"driver_id": [1]}, "features": ["trips"]}, ["body", "features"]),
        ({"entities": {}, "features": FEATURES}, ["body", "entities", "driver_id"]),
        ({"entities": {"driver_id": [1, 2], "driver": [1]}, "features": FEATURES}, ["body", "entities", "driver"]),
        ({"entities": {"driver_id": [1]}, "features": FEATURES, "full_feature_names": "x"}, ["body", "full_feature_names"]),
        ({"entities": {"driver_id": list(range(10_001))}, "features": FEATURES}, ["body", "entities", "driver_id"]),
    ],
)
def test_body_that_is_not_as_it_should_be(served, body, at):
    assert detail(post(served, "/get-online-features", body))["loc"] == at


def test_names_that_nothing_has(served):
    entities = {"driver_id": [1]}
    for body, named in [
        ({"entities": entities, "feature_service": "nobody"}, "FeatureServiceNotFoundException"),
        ({"entities": entities, "features": ["nobody:x"]}, "FeatureViewNotFoundException"),
        ({"entities": entities, "features": ["driver_stats:x"]}, "FeatureViewNotFoundException"),
    ]:
        assert feast_error(post(served, "/get-online-features", body))["class"] == named
    body = {"entities": entities, "features": FEATURES * 2}
    assert feast_error(post(served, "/get-online-features", body), 422)["class"] == "FeatureNameCollisionError"


def test_sdk_raises_the_error_by_its_class(rides, served, store):
    entities = [{"driver_id": 1001}]
    board = rides.reference.get_feature_service("driver_board")
    board.name = "another_board"
    with pytest.raises(feast.errors.FeatureServiceNotFoundException, match="another_board"):
        store.get_online_features(features=board, entity_rows=entities)


@pytest.mark.parametrize("path", ["/get-online-features", "/push", "/write-to-online-store", "/materialize"])
def test_what_is_no_json(served, path):
    for body in [b"", b"{", b'{"entities": {"driver_id": [1', b"\xff\xfe", b"[" * 100_000]:
        answer = post(served, path, data=body, headers={"content-type": "application/json"})
        assert answer.status_code == 422 and answer.json()["detail"], (body[:20], answer.text)
    answer = post(served, path, data=b"{}", headers={"content-type": "text/csv"})
    assert "text/csv" in detail(answer)["msg"]


def test_too_large(served):
    answer = post(served, "/get-online-features", {"entities": {"driver_id": [1] * 5_600_000}, "features": FEATURES})
    assert answer.status_code == 413, answer.text
    answer = post(served, "/get-online-features", {"entities": {"driver_id": [1] * 1_000_000}, "features": FEATURES})
    assert "10000" in detail(answer)["msg"]


def test_vectors_are_not_searched(served):
    assert post(served, "/search", {"features": [], "top_k": 1}).status_code == 501


ROW = {
    "driver_id": [7],
    "event_timestamp": ["2026-01-01T00:00:00"],
    "created": [None],
    "conv_rate": [0.5],
    "trips": [1],
    "area": ["x"],
    "active": [True],
    "joined": [None],
}


@pytest.mark.parametrize(
    "change, at",
    [
        ({"trips": [1, 2]}, ["body", "df", "trips"]),
        ({"trips": ["many"]}, ["body", "df", "trips", 0]),
        ({"trips": [1.5]}, ["body", "df", "trips", 0]),
        ({"area": [3]}, ["body", "df", "area", 0]),
        ({"event_timestamp": ["yesterday"]}, ["body", "df", "event_timestamp", 0]),
        ({"event_timestamp": [None]}, ["body", "df", "event_timestamp", 0]),
        ({"driver_id": [None]}, ["body", "df"]),
        ({"trips": None}, ["body", "df", "trips"]),
        ({"trips": 3}, ["body"]),
    ],
)
def test_frame_that_does_not_fit_is_refused_whole(served, change, at):
    # One good row, and one that is not.
    frame = {name: values * 2 for name, values in ROW.items()}
    for name, values in change.items():
        if values is None:
            del frame[name]
        elif isinstance(values, list) and len(values) == 1:
            frame[name] = [ROW[name][0] if name in ROW else None, *values]
            at = [*at[:-1], 1] if isinstance(at[-1], int) else at
        else:
            frame[name] = values if not isinstance(values, list) else values + [3]

    for path, name in [("/push", {"push_source_name": "driver-stats-push"}), ("/write-to-online-store", {"feature_view_name": "driver_stats"})]:
        answer = post(served, path, {**name, "df": frame})
        assert detail(answer)["loc"] == at, answer.text

    body = {"entities": {"driver_id": [7]}, "features": FEATURES}
    assert post(served, "/get-online-features", body).json()["results"][1]["statuses"] == ["NOT_FOUND"]


def test_writes_to_what_is_not_there(served):
    answer = post(served, "/push", {"push_source_name": "x", "df": ROW})
    assert feast_error(answer, 422)["class"] == "PushSourceNotFoundException", "as Feast answers it"
    answer = post(served, "/write-to-online-store", {"feature_view_name": "x", "df": ROW})
    assert feast_error(answer)["class"] == "FeatureViewNotFoundException"
    assert detail(post(served, "/push", {"push_source_name": "driver-stats-push", "df": ROW, "to": "mars"}))["loc"] == ["body", "to"]
    assert detail(post(served, "/push", {"df": ROW}))["loc"] == ["body", "push_source_name"]


def test_materialize_of_what_is_not_there(served):
    moments = {"start_ts": "2026-01-02T00:00:00", "end_ts": "2026-01-01T00:00:00"}
    assert detail(post(served, "/materialize", moments))["loc"] == ["body", "start_ts"]
    assert detail(post(served, "/materialize", {"start_ts": "2026-01-02"}))["loc"] == ["body", "end_ts"]
    assert detail(post(served, "/materialize-incremental", {"end_ts": "soon"}))["loc"] == ["body", "end_ts"]
    answer = post(served, "/materialize-incremental?async=perhaps", {"end_ts": "2026-01-01"})
    assert answer.status_code == 422 and answer.json()["detail"][0]["loc"] == ["query", "async"], answer.text
    answer = post(served, "/materialize-incremental", {"end_ts": "2026-01-01", "feature_views": ["x"]})
    assert feast_error(answer)["class"] == "FeatureViewNotFoundException"
    assert post(served, "/materialize-incremental", {"end_ts": "2026-01-01", "version": "v2"}).status_code == 501


def test_who_is_not_let_in_is_told_in_feasts_form(served):
    body = {"push_source_name": "driver-stats-push", "df": ROW}
    for path in ["/push", "/get-online-features", "/search"]:
        answer = post(served, path, body, headers={"authorization": "Bearer nobody"})
        assert feast_error(answer, 401)["class"] == "FeastPermissionError"
        assert answer.headers["www-authenticate"] == "Bearer"
    answer = post(served, "/push", body, headers={"host": "elsewhere.example"})
    assert feast_error(answer, 403)["class"] == "FeastPermissionError"


def test_sdk_with_a_wrong_key_raises_an_error_that_says_so(rides, served, monkeypatch, caplog):
    repo = rides.folder / "remote-with-a-wrong-key"
    auth = "auth: {type: oidc, token_env_var: MAINSPRING_KEY}"
    rides.configure(repo, f"online_store: {{type: remote, path: {served.url}}}\n{auth}")
    monkeypatch.setenv("MAINSPRING_KEY", "ms_wrong")
    store = FeatureStore(repo_path=str(repo))
    with pytest.raises(feast.errors.FeastPermissionError, match="key"):
        store.get_online_features(features=FEATURES, entity_rows=[{"driver_id": 1001}])
    assert "Invalid error detail" not in caplog.text


def test_frame_of_pandas_without_rows_writes_nothing(store):
    columns = {name: pd.Series([], dtype="object") for name in ROW}
    frame = pd.DataFrame(columns).astype({"driver_id": "int64", "event_timestamp": "datetime64[ns, UTC]"})
    store.write_to_online_store("driver_stats", df=frame)

"""Feature services that read a view under another name and by other keys (`with_name`, `with_join_key_map`)."""

import requests

from harness import PATIENCE

SERVICE = "driver_pair"
ROWS = [{"first_id": 1001, "second_id": 1004}, {"first_id": 1004, "second_id": 4242}]
COLUMNS = {name: [row[name] for row in ROWS] for name in ROWS[0]}


def ask(served, **body):
    body = {"feature_service": SERVICE, "full_feature_names": True, **body}
    return requests.post(f"{served.url}/get-online-features", json=body, timeout=PATIENCE)


def test_answers_as_feast_does(rides, store):
    rides.materialize_reference()
    service = rides.reference.get_feature_service(SERVICE)

    theirs = rides.reference.get_online_features(features=service, entity_rows=ROWS, full_feature_names=True).to_dict()
    ours = store.get_online_features(features=service, entity_rows=ROWS, full_feature_names=True).to_dict()

    assert ours == theirs


def test_names_keys_and_values_on_the_wire(served):
    answer = ask(served, entities=COLUMNS, include_feature_view_version_metadata=True)
    assert answer.status_code == 200, answer.text
    body = answer.json()

    names = ["first_id", "second_id", "first__trips", "Second__trips"]
    assert body["metadata"]["feature_names"] == names
    assert [view["name"] for view in body["metadata"]["feature_view_metadata"]] == ["first", "Second"]
    found = dict(zip(names, body["results"]))
    assert found["first_id"]["values"] == [1001, 1004] and found["second_id"]["values"] == [1004, 4242]
    assert found["first__trips"]["values"] == [13, 2]
    assert found["Second__trips"]["values"] == [2, None]
    assert found["Second__trips"]["statuses"] == ["PRESENT", "NOT_FOUND"]


def test_what_is_wrong_is_told_by_the_names_of_the_request(served):
    def at(answer):
        assert answer.status_code == 422, answer.text
        return answer.json()["detail"][0]["loc"]

    assert at(ask(served, entities={"first_id": [1001]})) == ["body", "entities", "second_id"]
    assert at(ask(served, entities={**COLUMNS, "second_id": ["x", 1]})) == ["body", "entities", "second_id", 0]
    bare = ask(served, entities=COLUMNS, full_feature_names=False)
    assert bare.status_code == 422 and "FeatureNameCollisionError" in bare.text


def test_import_writes_what_the_service_renames(rides):
    services = (rides.project / "features" / "services.yaml").read_text()
    assert "projections:" in services and "first_id" in services and '"Second.trips"' in services

"""POST /get-online-features as the SDK sends it, and as it is on the wire."""

import requests

from harness import PATIENCE

FEATURES = ["driver_stats:conv_rate", "driver_stats:area", "driver_vectors:vector"]


def ask(served, **body):
    return requests.post(f"{served.url}/get-online-features", json=body, timeout=PATIENCE)


def by_name(answer):
    body = answer.json()
    return dict(zip(body["metadata"]["feature_names"], body["results"]))


def test_health(served):
    assert requests.get(f"{served.url}/health", timeout=PATIENCE).text == "OK"


def test_statuses_and_moments(served):
    found = by_name(ask(served, entities={"driver_id": [1001, 1002, 1003, 4242, None]}, features=FEATURES))

    assert list(found) == ["driver_id", "conv_rate", "area", "vector"], "the join key comes first"
    assert found["conv_rate"]["statuses"] == ["PRESENT", "NULL_VALUE", "OUTSIDE_MAX_AGE", "NOT_FOUND", "NOT_FOUND"]
    assert found["conv_rate"]["values"] == [0.8125, None, None, None, None]
    assert found["vector"]["statuses"] == ["PRESENT", "NULL_VALUE", "PRESENT", "NOT_FOUND", "NOT_FOUND"]
    assert found["vector"]["values"][0] == [0.10000000149011612, 0.20000000298023224]
    moments = found["conv_rate"]["event_timestamps"]
    assert moments[0].endswith("Z") and moments[3] == moments[4] == "1970-01-01T00:00:00Z"
    assert moments[2] < moments[1] < moments[0], "also of what is too old it is said how old it is"
    assert found["driver_id"]["statuses"] == ["PRESENT"] * 4 + ["NULL_VALUE"]


def test_sdk_sees_the_statuses(store):
    rows = [{"driver_id": driver} for driver in (1001, 1002, 1003, 4242)]
    proto = store.get_online_features(features=FEATURES, entity_rows=rows).proto
    place = list(proto.metadata.feature_names.val).index("conv_rate")

    names = {1: "PRESENT", 2: "NULL_VALUE", 3: "NOT_FOUND", 4: "OUTSIDE_MAX_AGE"}
    statuses = [names[status] for status in proto.results[place].statuses]
    assert statuses == ["PRESENT", "NULL_VALUE", "OUTSIDE_MAX_AGE", "NOT_FOUND"]


def test_full_names(served, store):
    found = by_name(ask(served, entities={"driver_id": [1001]}, features=FEATURES, full_feature_names=True))
    assert list(found) == ["driver_id", "driver_stats__conv_rate", "driver_stats__area", "driver_vectors__vector"]

    rows = [{"driver_id": 1001}]
    values = store.get_online_features(features=FEATURES, entity_rows=rows, full_feature_names=True).to_dict()
    assert values["driver_stats__area"] == ['süd "1"']


def test_service_on_the_wire(served):
    found = by_name(ask(served, entities={"driver_id": [1001, 1004]}, feature_service="driver_board"))
    assert list(found) == ["driver_id", "conv_rate", "trips", "vector", "words"]
    assert found["trips"]["values"] == [13, 2] and found["words"]["values"] == [["c"], []]


def test_entity_may_be_named_in_place_of_its_key(served):
    found = by_name(ask(served, entities={"driver": [1001]}, features=["driver_stats:trips"]))
    assert found["driver_id"]["values"] == [1001] and found["trips"]["values"] == [13]


def test_column_that_no_feature_reads_is_passed_over(rides, served, store):
    """As clients send it that go on to bring what on-demand views need, which are not carried over."""
    board = rides.reference.get_feature_service("driver_board")
    rows = [{"driver_id": 1001, "fare": 7.5}, {"driver_id": 1002, "fare": None}]

    for features in (board, ["driver_stats:trips"]):
        found = store.get_online_features(features=features, entity_rows=rows).to_dict()
        assert "fare" not in found and found["driver_id"] == [1001, 1002] and found["trips"] == [13, 7]
    answer = ask(served, entities={"driver_id": [1001], "fare": [1.5, 2.5]}, features=["driver_stats:trips"])
    assert answer.status_code == 422, "it has a value for each entity all the same"


def test_name_of_a_service_that_is_empty_is_none(served):
    found = by_name(ask(served, entities={"driver_id": [1001]}, features=["driver_stats:trips"], feature_service=""))
    assert found["trips"]["values"] == [13]


def test_text_of_digits_is_the_number(served):
    found = by_name(ask(served, entities={"driver_id": ["1001", 1004]}, features=["driver_stats:trips"]))
    assert found["driver_id"]["values"] == [1001, 1004] and found["trips"]["values"] == [13, 2]


def test_no_entities_are_no_error(served):
    found = by_name(ask(served, entities={"driver_id": []}, features=FEATURES))
    assert found["conv_rate"] == {"values": [], "statuses": [], "event_timestamps": []}


def test_ten_thousand_entities(served):
    found = by_name(ask(served, entities={"driver_id": list(range(10_000))}, features=FEATURES))
    assert len(found["area"]["values"]) == 10_000 and found["area"]["values"][1001] == 'süd "1"'

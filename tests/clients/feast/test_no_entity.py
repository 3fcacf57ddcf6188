"""A view that describes no entity: one row for everything, read with and without keys of other views."""

import pandas as pd
import requests

from conftest import ago
from harness import PATIENCE

CITY = ["city:trips"]


def ask(served, **body):
    return requests.post(f"{served.url}/get-online-features", json=body, timeout=PATIENCE)


def by_name(answer):
    assert answer.status_code == 200, answer.text
    body = answer.json()
    return dict(zip(body["metadata"]["feature_names"], body["results"]))


def test_its_row_is_for_all_and_follows_writes(served, store):
    found = by_name(ask(served, entities={}, features=CITY))
    assert list(found) == ["trips"] and found["trips"]["values"] == [13], "the newest row of the file"
    assert found["trips"]["statuses"] == ["PRESENT"]

    # As one pushes what has no key: nothing but times and features.
    body = {"push_source_name": "city-push", "df": {"event_timestamp": [ago(minutes=30).isoformat()], "trips": [21]}}
    answer = requests.post(f"{served.url}/push", json=body, timeout=PATIENCE)
    assert answer.status_code == 200, answer.text
    assert by_name(ask(served, entities={}, features=CITY))["trips"]["values"] == [21]

    # As the SDK writes it, with Feast's own key; and an older row changes nothing.
    for minutes, trips in [(10, 34), (20, 27)]:
        row = {"__dummy_id": "", "event_timestamp": ago(minutes=minutes), "created": ago(minutes=minutes), "trips": trips}
        store.write_to_online_store("city", df=pd.DataFrame([row]))
    for rows in ([{}], [{"__dummy_id": ""}]):
        assert store.get_online_features(features=CITY, entity_rows=rows).to_dict() == {"trips": [34]}

    both = [*CITY, "driver_stats:area"]
    found = by_name(ask(served, entities={"driver_id": [1001, 1002, 4242]}, features=both))
    assert list(found) == ["driver_id", "trips", "area"]
    assert found["trips"]["values"] == [34, 34, 34]
    assert found["area"]["statuses"] == ["PRESENT", "NULL_VALUE", "NOT_FOUND"]


def test_its_key_gives_the_number_of_rows(served):
    found = by_name(ask(served, entities={"__dummy_id": ["", ""]}, features=CITY))
    assert list(found) == ["__dummy_id", "trips"] and found["trips"]["statuses"] == ["PRESENT"] * 2
    assert by_name(ask(served, entities={"__dummy_id": []}, features=CITY))["trips"]["values"] == []


def test_keys_of_other_views_are_still_needed(served):
    answer = ask(served, entities={}, features=[*CITY, "driver_stats:area"])
    assert answer.status_code == 422 and answer.json()["detail"][0]["loc"] == ["body", "entities", "driver_id"]

"""Views, features and services whose names are none of ours: unchanged clients read and write them by the names they know."""

import pandas as pd
import requests

from conftest import NOW, ago
from harness import PATIENCE

DRIVER = [{"driver_id": 1001}]


def test_read_by_view(store):
    found = store.get_online_features(features=["LocationStats:avgTemp"], entity_rows=DRIVER).to_dict()

    assert found == {"driver_id": [1001], "avgTemp": [0.8125]}


def test_read_by_service(rides, store):
    service = rides.reference.get_feature_service("my-service-v1")
    for full, name in [(False, "avgTemp"), (True, "LocationStats__avgTemp")]:
        found = store.get_online_features(features=service, entity_rows=DRIVER, full_feature_names=full).to_dict()
        assert found == {"driver_id": [1001], name: [0.8125]}


def test_write_to_the_view(store):
    row = {"driver_id": 3001, "event_timestamp": ago(minutes=5), "created": ago(minutes=5), "avgTemp": 21.5}
    store.write_to_online_store("LocationStats", df=pd.DataFrame([row]))

    found = store.get_online_features(features=["LocationStats:avgTemp"], entity_rows=[{"driver_id": 3001}]).to_dict()
    assert found["avgTemp"] == [21.5]


def test_our_names_and_wrong_ones(served):
    def ask(features):
        body = {"entities": {"driver_id": [1001]}, "features": features}
        return requests.post(f"{served.url}/get-online-features", json=body, timeout=PATIENCE)

    answer = ask(["locationstats:avgtemp"]).json()
    assert answer["metadata"]["feature_names"] == ["driver_id", "avgtemp"]
    assert ask(["Location-Stats:avgTemp"]).status_code == 404, "a name that nobody gave"
    assert ask(["LocationStats:AvgTemp"]).status_code == 404
    body = {"feature_views": ["LocationStats"], "end_ts": NOW.isoformat()}
    assert requests.post(f"{served.url}/materialize-incremental", json=body, timeout=PATIENCE).status_code == 200

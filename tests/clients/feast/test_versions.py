"""A view that was changed in Feast, and what names one of its versions: services in the import, references in reads."""

import json

import feast.errors
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import requests
from feast import Entity, FeatureService, FeatureStore, FeatureView, Field, FileSource, ValueType
from feast.types import Float64, Int64

from conftest import ago
from harness import PATIENCE, Server, mainspring

RIDER = Entity(name="rider", join_keys=["rider_id"], value_type=ValueType.STRING)


def configure(repo, online):
    repo.mkdir(parents=True, exist_ok=True)
    registry = repo.parent / "repo" / "registry.db"
    (repo / "feature_store.yaml").write_text(
        f"project: riders\nprovider: local\nregistry: {registry}\noffline_store: {{type: file}}\n"
        f"entity_key_serialization_version: 3\nonline_store: {online}\n"
    )
    return FeatureStore(repo_path=str(repo))


@pytest.fixture(scope="module")
def riders(tmp_path_factory):
    """A repository whose view is in its second version, served; what the import said is in `said`."""
    folder = tmp_path_factory.mktemp("versions")
    repo = folder / "repo"
    store = configure(repo, "{type: sqlite, path: online.db}")
    at = pa.array([ago(hours=1)] * 2, pa.timestamp("us", "UTC"))
    rows = {"rider_id": ["7", "8"], "event_timestamp": at, "trips": [3, 4], "rate": [0.5, float("nan")]}
    pq.write_table(pa.table(rows), repo / "riders.parquet")
    source = FileSource(name="riders", path=str(repo / "riders.parquet"), timestamp_field="event_timestamp")

    def view(**features):
        schema = [Field(name=name, dtype=dtype) for name, dtype in features.items()]
        return FeatureView(name="rider_stats", entities=[RIDER], schema=schema, source=source)

    store.apply([RIDER, view(trips=Int64)])
    store.apply([RIDER, view(trips=Int64, rate=Float64)])
    services = {"before": ["rider_stats@v0:trips"], "now": ["rider_stats@v1:rate"], "plain": ["rider_stats:trips"]}
    store.apply([FeatureService(name=name, features=features) for name, features in services.items()])

    project = folder / "project"
    said = json.loads(mainspring(project, "import", "feast", str(repo), "--json"))
    mainspring(project, "apply", "--yes")
    mainspring(project, "run")
    with Server(project) as server:
        server.said = said
        server.store = configure(folder / "remote", f'{{type: remote, path: "{server.url}"}}')
        yield server


def ask(served, features, **body):
    body = {"entities": {"rider_id": ["7"]}, "features": features, **body}
    return requests.post(f"{served.url}/get-online-features", json=body, timeout=PATIENCE)


def test_import_says_which_service_pinned_which_version_of_which_view(riders):
    pins = sorted(note for note in riders.said["notes"] if "the pin is not carried over" in note)

    assert len(pins) == 2, pins
    assert "`before` reads `rider_stats` at version v0" in pins[0] and "which is v1" in pins[0]
    assert "`now` reads `rider_stats` at version v1" in pins[1] and "which is that one" in pins[1]


@pytest.mark.parametrize("version", ["", "@latest", "@LATEST", "@v1", "@V1"])
def test_version_that_is_served_is_answered(riders, version):
    answer = ask(riders, [f"rider_stats{version}:trips"], include_feature_view_version_metadata=True)

    assert answer.status_code == 200, answer.text
    assert answer.json()["results"][1]["values"] == [3]
    assert answer.json()["metadata"]["feature_view_metadata"] == [{"name": "rider_stats", "version": 1}]


def test_full_name_has_the_version_that_was_named(riders):
    features = ["rider_stats@v1:trips", "rider_stats@latest:rate"]
    names = ask(riders, features, full_feature_names=True).json()["metadata"]["feature_names"]

    assert names == ["rider_id", "rider_stats@v1__trips", "rider_stats__rate"]


@pytest.mark.parametrize("version", [0, 2, 99999999999])
def test_any_other_version_is_refused_in_feasts_form(riders, version):
    answer = ask(riders, [f"rider_stats@v{version}:trips"])

    assert answer.status_code == 404, answer.text
    inner = json.loads(answer.json())
    assert inner["class"] == "FeatureViewVersionNotFound"
    assert f"Version v{version} of feature view rider_stats does not exist: served is v1" in inner["message"]
    with pytest.raises(feast.errors.FeatureViewVersionNotFound, match="served is v1"):
        riders.store.get_online_features(
            features=[f"rider_stats@v{version}:trips"], entity_rows=[{"rider_id": "7"}]
        )


def test_what_is_no_version_is_part_of_the_name(riders):
    for name in ["rider_stats@2", "nobody@v1"]:
        answer = ask(riders, [f"{name}:trips"])
        assert answer.status_code == 404 and "FeatureViewNotFoundException" in answer.text


def test_what_is_not_a_number_is_null(riders):
    # So it is in Feast's own online stores. As a word its clients would read it as a text.
    found = ask(riders, ["rider_stats:rate", "rider_stats:trips"], entities={"rider_id": ["7", "8"]}).json()["results"]

    assert found[1]["values"] == [0.5, None] and found[1]["statuses"] == ["PRESENT", "NULL_VALUE"]
    assert found[2]["values"] == [3, 4]


def test_key_that_is_a_text_may_come_as_a_number(riders):
    found = riders.store.get_online_features(features=["rider_stats:trips"], entity_rows=[{"rider_id": 7}]).to_dict()

    assert found == {"rider_id": ["7"], "trips": [3]}

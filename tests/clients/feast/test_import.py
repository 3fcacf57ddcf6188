"""`mainspring import feast`: the project is sound, says what it lacks, and answers as Feast itself does."""

import datetime
import json

import pytest

from conftest import query
from harness import mainspring

FEATURES = [
    "driver_stats:conv_rate",
    "driver_stats:trips",
    "driver_stats:area",
    "driver_stats:active",
    "driver_stats:joined",
    "driver_vectors:vector",
    "driver_vectors:words",
]
DRIVERS = [{"driver_id": driver} for driver in (1001, 1002, 1003, 4242)]


def test_says_what_it_wrote_and_what_it_could_not_carry_over(rides):
    said = json.loads(rides.said)

    assert (said["entities"], said["sources"], said["feature_views"], said["feature_services"]) == (2, 2, 4, 3)
    notes = "\n".join(said["notes"])
    assert "feature view `city` has no entity" in notes
    assert "on-demand feature view `worth` is not carried over" in notes
    assert "sqlite online store are not copied" in notes
    assert (rides.project / "features" / "driver_stats.yaml").is_file()


def test_project_validates_and_has_the_service(rides):
    assert "valid" in mainspring(rides.project, "validate")
    service = (rides.project / "features" / "services.yaml").read_text()
    assert "feature_service: driver_board" in service and "driver_vectors.vector" in service


def seconds(value):
    return int(value.timestamp()) if isinstance(value, datetime.datetime) else value


def test_answers_the_values_that_feast_answers(rides, store):
    rides.materialize_reference()

    theirs = rides.reference.get_online_features(features=FEATURES, entity_rows=DRIVERS).to_dict()
    ours = store.get_online_features(features=FEATURES, entity_rows=DRIVERS).to_dict()

    assert set(ours) == set(theirs)
    for name, values in theirs.items():
        assert ours[name] == [seconds(value) for value in values], name


def test_answers_a_feature_service(rides, store):
    rides.materialize_reference()
    board = rides.reference.get_feature_service("driver_board")

    theirs = rides.reference.get_online_features(features=board, entity_rows=DRIVERS).to_dict()
    ours = store.get_online_features(features=board, entity_rows=DRIVERS).to_dict()

    assert ours == theirs


def test_table_of_the_view_orders_rows_of_one_event_by_when_they_were_created(served):
    found = query(
        served.folder, "select driver_id, conv_rate from features.driver_stats order by event_timestamp, row_id"
    )
    last = [row for row in found if row["driver_id"] == 1001][-1]

    assert last["conv_rate"] == 0.8125


@pytest.mark.parametrize(
    "config, word",
    [
        ("project: x\nregistry: {registry_type: sql, path: postgresql://h/db}\n", "`sql`"),
        ("project: x\nregistry: nowhere.db\n", "feast apply"),
        ("project: [", "feature_store.yaml"),
    ],
)
def test_repository_that_cannot_be_read_is_refused(tmp_path, config, word):
    repo = tmp_path / "repo"
    repo.mkdir()
    (repo / "feature_store.yaml").write_text(config)

    with pytest.raises(AssertionError, match=word):
        mainspring(tmp_path / "project", "import", "feast", str(repo))
    assert not (tmp_path / "project" / "mainspring.yaml").exists()


def test_registry_of_noise_is_refused(tmp_path):
    repo = tmp_path / "repo"
    repo.mkdir()
    (repo / "feature_store.yaml").write_text("project: x\nregistry: registry.db\n")
    (repo / "registry.db").write_bytes(bytes(range(256)) * 64)

    with pytest.raises(AssertionError, match="no registry of Feast"):
        mainspring(tmp_path / "project", "import", "feast", str(repo))

"""The Feast SDK against Mainspring: push a row, read it back with its statuses. Takes the server's URL.

    mainspring -C project apply && mainspring -C project serve &
    python feast_features.py http://127.0.0.1:7878

The project is what `mainspring -C project import feast REPO` makes of a repository with the objects below, or
these files:

    # project/mainspring.yaml
    project: rides

    # project/sources/driver_stats_pushed.yaml
    source: driver_stats_pushed
    push: [driver-stats-push]
    columns:
      - {name: driver_id, type: int64, nullable: false}
      - {name: event_timestamp, type: timestamp, nullable: false}
      - {name: created, type: timestamp}
      - {name: conv_rate, type: float64}
      - {name: trips, type: int64}
      - {name: area, type: string}
      - {name: active, type: bool}
      - {name: joined, type: timestamp}
    event_time: event_timestamp

    # project/features/driver_stats.yaml
    entity: driver
    keys: [{name: driver_id, type: int64}]
    ---
    feature_view: driver_stats
    entity: driver
    sql: |
      select driver_id, event_timestamp, coalesce(created, pushed_at) as written_at, conv_rate, trips, area, active,
        joined
      from driver_stats_pushed
    event_time: event_timestamp
    written_at: written_at
    ttl: 24h
    features: {conv_rate: "", trips: "", area: "", active: "", joined: ""}
"""

import datetime
import os
import sys
import tempfile

import pandas as pd
from feast import Entity, FeatureStore, FeatureView, Field, FileSource, PushSource, RepoConfig, ValueType
from feast.types import Bool, Float64, Int64, String, UnixTimestamp

url = sys.argv[1] if len(sys.argv) > 1 else os.environ.get("MAINSPRING_URL", "http://127.0.0.1:7878")

# What a team has in its repository.
driver = Entity(name="driver", join_keys=["driver_id"], value_type=ValueType.INT64)
stats = FileSource(
    name="driver_stats_file",
    path="driver_stats.parquet",
    timestamp_field="event_timestamp",
    created_timestamp_column="created",
)
types = {"conv_rate": Float64, "trips": Int64, "area": String, "active": Bool, "joined": UnixTimestamp}
view = FeatureView(
    name="driver_stats",
    entities=[driver],
    ttl=datetime.timedelta(days=1),
    schema=[Field(name=name, dtype=dtype) for name, dtype in types.items()],
    source=PushSource(name="driver-stats-push", batch_source=stats),
)

with tempfile.TemporaryDirectory() as folder:
    store = FeatureStore(
        config=RepoConfig(
            project="rides",
            provider="local",
            registry=f"{folder}/registry.db",
            online_store={"type": "remote", "path": url},  # the one line that is new
            entity_key_serialization_version=3,
        )
    )
    store.apply([driver, view])

    now = datetime.datetime.now(datetime.timezone.utc)
    row = {"driver_id": 77, "event_timestamp": now, "created": now, "conv_rate": 0.85, "trips": 12}
    store.push("driver-stats-push", pd.DataFrame([{**row, "area": "north", "active": True, "joined": now}]))

    answer = store.get_online_features(
        features=["driver_stats:conv_rate", "driver_stats:trips"],
        entity_rows=[{"driver_id": 77}, {"driver_id": 78}],
    )
    print(pd.DataFrame(answer.to_dict()))
    names = {1: "PRESENT", 2: "NULL_VALUE", 3: "NOT_FOUND", 4: "OUTSIDE_MAX_AGE"}
    for name, result in zip(answer.proto.metadata.feature_names.val, answer.proto.results):
        print(f"{name:10}", *(names[status] for status in result.statuses))

"""What a team that uses Feast has in its repository."""

import datetime

import pandas as pd
from feast import Entity, FeatureService, FeatureView, Field, FileSource, PushSource, RequestSource, ValueType
from feast.on_demand_feature_view import on_demand_feature_view
from feast.types import Array, Bool, Float32, Float64, Int64, String, UnixTimestamp

driver = Entity(name="driver", join_keys=["driver_id"], value_type=ValueType.INT64, description="Who drives")

stats_file = FileSource(
    name="driver_stats_file",
    path="driver_stats.parquet",
    timestamp_field="event_timestamp",
    created_timestamp_column="created",
)
stats_push = PushSource(name="driver-stats-push", batch_source=stats_file)

driver_stats = FeatureView(
    name="driver_stats",
    entities=[driver],
    ttl=datetime.timedelta(days=1),
    schema=[
        Field(name="conv_rate", dtype=Float64, description="Rides that were paid"),
        Field(name="trips", dtype=Int64),
        Field(name="area", dtype=String),
        Field(name="active", dtype=Bool),
        Field(name="joined", dtype=UnixTimestamp),
    ],
    source=stats_push,
)

driver_vectors = FeatureView(
    name="driver_vectors",
    entities=[driver],
    schema=[Field(name="vector", dtype=Array(Float32)), Field(name="words", dtype=Array(String))],
    source=stats_file,
)

fare = RequestSource(name="fare", schema=[Field(name="fare", dtype=Float64)])


@on_demand_feature_view(sources=[driver_stats, fare], schema=[Field(name="worth", dtype=Float64)])
def worth(inputs: pd.DataFrame) -> pd.DataFrame:
    return pd.DataFrame({"worth": inputs["conv_rate"] * inputs["fare"]})


board = FeatureService(name="driver_board", features=[driver_stats[["conv_rate", "trips"]], driver_vectors])

# Names that are none of ours: clients go on to ask for them as they are.
temperatures_file = FileSource(
    name="driver_temperatures_file",
    path="driver_stats.parquet",
    timestamp_field="event_timestamp",
    created_timestamp_column="created",
    field_mapping={"conv_rate": "avgTemp"},
)
location_stats = FeatureView(
    name="LocationStats", entities=[driver], schema=[Field(name="avgTemp", dtype=Float64)], source=temperatures_file
)
locations = FeatureService(name="my-service-v1", features=[location_stats])

# A view of no entity: its newest row holds for everything.
city = FeatureView(
    name="city",
    entities=[],
    schema=[Field(name="trips", dtype=Int64)],
    source=PushSource(name="city-push", batch_source=stats_file),
)

# One view under two names, each by a key of its own.
pair = FeatureService(
    name="driver_pair",
    features=[
        driver_stats[["trips"]].with_name("first").with_join_key_map({"driver_id": "first_id"}),
        driver_stats[["trips"]].with_name("Second").with_join_key_map({"driver_id": "second_id"}),
    ],
)

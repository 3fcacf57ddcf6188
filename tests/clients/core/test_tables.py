"""Other tools read the tables where they lie."""

import duckdb


def test_deltalake_reads_what_was_ingested(platform):
    flights = platform.table("sources.flights")

    rows = flights.to_pyarrow_table(columns=["origin", "sched_dep_at"])

    landed = platform.report["tables"]["flights"]
    assert rows.num_rows == landed["rows_read"] - landed["rows_quarantined"] - landed["rows_dropped"]
    assert set(rows.column("origin").to_pylist()) == {"EWR", "JFK", "LGA"}


def test_duckdb_counts_the_predictions_that_were_made(platform):
    predictions = platform.table("predictions.arrival_delay").to_pyarrow_table()

    (rows, distinct), = duckdb.sql("select count(*), count(distinct prediction_id) from predictions").fetchall()

    assert rows == distinct == platform.made


def test_old_versions_can_still_be_read(platform):
    newest = platform.table("predictions.arrival_delay")
    first = platform.table("predictions.arrival_delay")
    first.load_as_version(1)

    assert first.version() < newest.version()
    assert first.to_pyarrow_table().num_rows < newest.to_pyarrow_table().num_rows

"""SQL by the database interface of ADBC, as a person at a notebook writes it."""

import datetime

import adbc_driver_manager
import pandas
import pyarrow as pa
import pytest

from conftest import ORDERS, SPOILT
from harness import waited


def rows(cursor, sql, parameters=None):
    cursor.execute(sql, parameters)
    return cursor.fetch_arrow_table().to_pylist()


def test_a_table_comes_with_its_types(cursor):
    cursor.execute("SELECT order_id, ordered_at, amount, items FROM sources.orders ORDER BY order_id LIMIT 3")
    table = cursor.fetch_arrow_table()

    assert table.column("order_id").to_pylist() == ["O00000", "O00001", "O00002"]
    assert table.schema.field("ordered_at").type == pa.timestamp("us", "UTC")
    assert table.schema.field("amount").type == pa.float64()
    assert table.schema.field("items").type == pa.int64()


def test_a_result_goes_into_a_data_frame(cursor):
    cursor.execute("SELECT items, count(*) AS orders, avg(amount) AS amount FROM orders GROUP BY items ORDER BY items")
    frame = cursor.fetch_df()

    assert isinstance(frame, pandas.DataFrame)
    assert list(frame["items"]) == list(range(1, 10))
    assert frame["orders"].sum() == ORDERS


@pytest.mark.parametrize("schema", ["sources", "quarantine", "features", "training", "predictions"])
def test_every_schema_of_the_lake_has_tables_that_are_read(connect, cursor, server, schema):
    # predictions are written within a second
    names = waited(lambda: tables_of(connect, schema))
    for name in names:
        (row,) = rows(cursor, f'SELECT count(*) AS n FROM {schema}."{name}"')
        assert row["n"] > 0, name


def tables_of(connect, schema):
    with connect() as connection:
        objects = connection.adbc_get_objects(depth="tables", db_schema_filter=schema).read_all().to_pylist()
        schemas = objects[0]["catalog_db_schemas"]
        return [table["table_name"] for found in schemas for table in found["db_schema_tables"]]


def test_rows_that_broke_a_rule_are_there_with_the_reason(cursor):
    found = rows(cursor, "SELECT reason FROM quarantine.orders")

    assert len(found) == SPOILT and all("amount" in row["reason"] for row in found)


def test_questions_are_answered_across_tables_and_views(cursor):
    (row,) = rows(
        cursor,
        """
        SELECT r.run_id, r.status, v.version, a.alias, m.value
        FROM platform.runs r
        JOIN platform.versions v ON v.run_id = r.run_id
        JOIN platform.aliases a ON a.model = v.model AND a.version = v.version
        JOIN (SELECT run_id, max(value) AS value FROM platform.metrics GROUP BY run_id) m ON m.run_id = r.run_id
        """,
    )

    assert row["status"] == "succeeded" and row["version"] == 1 and row["alias"] == "champion"
    assert row["value"] > 0


@pytest.mark.parametrize(
    "view", ["aliases", "audit", "experiments", "lineage", "metrics", "models", "params", "runs", "versions"]
)
def test_every_view_of_the_catalog_has_rows_and_the_columns_it_says(connect, cursor, view):
    cursor.execute(f"SELECT * FROM platform.{view}")
    table = cursor.fetch_arrow_table()

    assert table.num_rows > 0
    with connect() as connection:
        told = connection.adbc_get_table_schema(view, db_schema_filter="platform")
    assert told.names == table.schema.names and told.types == table.schema.types


def test_one_runs_metrics_are_those_of_the_run(cursor):
    (run,) = rows(cursor, "SELECT run_id FROM platform.runs")
    ordered = "ORDER BY key, step, at"
    all_metrics = rows(cursor, f"SELECT * FROM platform.metrics {ordered}")
    of_run = rows(cursor, f"SELECT * FROM platform.metrics WHERE run_id = ? {ordered}", (run["run_id"],))

    assert of_run == all_metrics
    assert rows(cursor, "SELECT * FROM platform.metrics WHERE run_id = 'none'") == []
    key = of_run[0]["key"]
    of_key = f"SELECT * FROM platform.metrics WHERE run_id = ? AND key = ? {ordered}"
    assert rows(cursor, of_key, (run["run_id"], key)) == [row for row in of_run if row["key"] == key]


@pytest.mark.parametrize(
    ("sql", "clause"),
    [
        ("SELECT count(*) FROM (SELECT items FROM orders TABLESAMPLE SYSTEM (10))", "TABLESAMPLE"),
        ("SELECT count(*) FROM orders PREWHERE items < 5", "PREWHERE"),
        ("SELECT count(*) FROM orders WITH (NOLOCK)", "WITH"),
        ("SELECT items, count(*) FROM orders GROUP BY items WITH ROLLUP", "ROLLUP"),
    ],
)
def test_a_clause_that_would_be_passed_over_is_refused_by_name(cursor, sql, clause):
    with pytest.raises(adbc_driver_manager.NotSupportedError, match=f"passes over .*{clause}"):
        cursor.execute(sql)


def test_the_audit_log_is_a_chain(cursor):
    entries = rows(cursor, "SELECT seq, prev_hash, hash FROM platform.audit ORDER BY seq")

    assert [entry["seq"] for entry in entries] == list(range(1, len(entries) + 1))
    assert all(after["prev_hash"] == before["hash"] for before, after in zip(entries, entries[1:]))


def test_parameters_are_bound_by_place_by_number_and_by_type(cursor):
    at = datetime.datetime(2024, 6, 1, tzinfo=datetime.timezone.utc)
    by_place = rows(cursor, "SELECT order_id FROM orders WHERE items = ? AND ordered_at > ? ORDER BY 1", (3, at))
    by_number = rows(cursor, "SELECT order_id FROM orders WHERE items = $1 AND ordered_at > $2 ORDER BY 1", (3, at))

    assert by_place == by_number and by_place
    assert rows(cursor, "SELECT ? || '!' AS text, CAST(? AS DOUBLE) AS number", ("it's", 2.5)) == [
        {"text": "it's!", "number": 2.5}
    ]
    nothing = rows(cursor, "SELECT count(*) AS n FROM orders WHERE order_id = ?", ("' OR 1 = 1 --",))
    assert nothing == [{"n": 0}]


def test_each_row_of_parameters_is_one_run_and_the_results_follow_each_other(cursor):
    values = pa.record_batch({"1": pa.array(["O00005", "O00001", "none", "O00003"])})
    cursor.execute("SELECT order_id FROM orders WHERE order_id = ?", values)

    assert cursor.fetch_arrow_table().column("order_id").to_pylist() == ["O00005", "O00001", "O00003"]


def test_a_prepared_statement_tells_its_parameters(cursor):
    schema = cursor.adbc_prepare("SELECT * FROM orders WHERE items > $1 AND email = $2")

    assert schema.names == ["$1", "$2"] and schema.types == [pa.int64(), pa.string()]


def test_parameters_that_do_not_fit_are_refused_in_words(cursor):
    with pytest.raises(adbc_driver_manager.Error, match="2 placeholders .*1 values are bound"):
        rows(cursor, "SELECT * FROM orders WHERE items = ? AND amount > ?", (1,))
    with pytest.raises(adbc_driver_manager.Error, match=r"no values are bound to the placeholders \$1"):
        rows(cursor, "SELECT * FROM orders WHERE items = ?")


def test_the_columns_of_a_query_are_told_without_running_it(cursor):
    schema = cursor.adbc_execute_schema("SELECT amount * 2 AS double, upper(order_id) AS id FROM orders")

    assert schema == pa.schema([("double", pa.float64()), ("id", pa.string())])


def test_an_older_version_of_a_table_is_read_by_its_number_or_its_time(cursor):
    (now,) = rows(cursor, "SELECT count(*) AS n FROM sources.orders")
    (then,) = rows(cursor, 'SELECT count(*) AS n FROM sources."orders@0"')

    assert then["n"] <= now["n"]
    with pytest.raises(adbc_driver_manager.Error, match="has no version 99"):
        rows(cursor, 'SELECT * FROM sources."orders@99"')
    with pytest.raises(adbc_driver_manager.Error, match="no version from 2001"):
        rows(cursor, 'SELECT * FROM sources."orders@2001-01-01T00:00:00Z"')
    later = datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
    assert rows(cursor, f'SELECT count(*) AS n FROM sources."orders@{later}"') == [now]


def test_metadata_draws_the_tree(connect):
    with connect() as connection:
        (catalog,) = connection.adbc_get_objects(depth="all").read_all().to_pylist()
        assert catalog["catalog_name"] == "mainspring"
        tree = {
            found["db_schema_name"]: {table["table_name"]: table for table in found["db_schema_tables"]}
            for found in catalog["catalog_db_schemas"]
        }
        assert set(tree) >= {"sources", "quarantine", "features", "training", "predictions", "platform"}
        assert tree["sources"]["orders"]["table_type"] == "TABLE" and tree["platform"]["runs"]["table_type"] == "VIEW"
        columns = [column["column_name"] for column in tree["sources"]["orders"]["table_columns"]]
        assert {"order_id", "email", "amount"} <= set(columns)
        only_views = connection.adbc_get_objects(depth="tables", table_types_filter=["VIEW"]).read_all().to_pylist()
        named = connection.adbc_get_objects(depth="tables", table_name_filter="ord%").read_all().to_pylist()
        kinds = {
            table["table_type"]
            for found in only_views[0]["catalog_db_schemas"]
            for table in found["db_schema_tables"]
        }
        names = {
            table["table_name"] for found in named[0]["catalog_db_schemas"] for table in found["db_schema_tables"]
        }
        assert kinds == {"VIEW"}
        assert names and all(name.startswith("ord") for name in names)
        assert set(connection.adbc_get_table_types()) == {"TABLE", "VIEW"}
        info = connection.adbc_get_info()
        assert info["vendor_name"] == "Mainspring" and info["vendor_version"]


def test_mistakes_are_named_with_what_mends_them(cursor):
    for sql, words in [
        ("SELECT * FROM sources.order", "did you mean sources.orders"),
        ("SELECT amuont FROM orders", "amuont"),
        ("SELEC 1", "SELEC"),
        ("SELECT 1 / 0 FROM orders", "[Dd]ivide by zero"),
        ("SELECT CAST('x' AS INT) FROM orders", "x"),
        ("SELECT 1; SELECT 2", "2 statements"),
        ("SELECT " + "1 + " * 50_000 + "1", "operators, the most is"),
        ("SELECT '" + "x" * 300_000 + "'", "bytes, the most is"),
    ]:
        with pytest.raises(adbc_driver_manager.Error, match=words):
            rows(cursor, sql)
    assert rows(cursor, "SELECT 1 AS one") == [{"one": 1}], "the connection goes on"


@pytest.mark.parametrize(
    "sql",
    [
        "CREATE TABLE t AS SELECT 1",
        "CREATE VIEW v AS SELECT 1",
        "INSERT INTO sources.orders VALUES (1)",
        "DELETE FROM sources.orders",
        "UPDATE sources.orders SET amount = 0",
        "DROP TABLE sources.orders",
        "COPY (SELECT 1) TO '/tmp/mainspring-copy.csv'",
        "EXPLAIN ANALYZE INSERT INTO sources.orders SELECT * FROM sources.orders",
        "CREATE EXTERNAL TABLE passwd STORED AS CSV LOCATION '/etc/passwd'",
        "SET datafusion.execution.batch_size = 1",
        "PREPARE p AS SELECT 1",
        "TRUNCATE TABLE sources.orders",
    ],
)
def test_what_would_change_something_is_refused(cursor, sql):
    with pytest.raises(adbc_driver_manager.Error, match="only queries are run here"):
        rows(cursor, sql)


def test_files_of_the_machine_are_no_tables(cursor):
    with pytest.raises(adbc_driver_manager.Error, match="passwd"):
        rows(cursor, "SELECT * FROM '/etc/passwd'")


def test_ingesting_and_updating_are_refused(cursor):
    with pytest.raises(adbc_driver_manager.Error, match="(?i)only queries are run here|ingest"):
        cursor.adbc_ingest("orders", pa.table({"a": [1]}), mode="append")
    with pytest.raises(adbc_driver_manager.Error, match="only queries are run here|executemany"):
        cursor.executemany("INSERT INTO sources.orders VALUES (?)", [(1,)])


def test_sql_lists_the_tables_and_their_columns(cursor):
    tables = {(row["table_schema"], row["table_name"]): row["table_type"] for row in rows(cursor, "SHOW TABLES")}
    assert tables[("sources", "orders")] == "BASE TABLE" and tables[("platform", "runs")] == "VIEW"
    schemata = [row["schema_name"] for row in rows(cursor, "SELECT schema_name FROM information_schema.schemata")]
    assert {schema for schema, _ in tables} <= set(schemata)

    described = rows(cursor, "SHOW COLUMNS FROM sources.orders")
    assert [row["column_name"] for row in described][:1] == ["order_id"]
    assert rows(cursor, "SHOW COLUMNS FROM orders") == described, "a bare name is the source's, not the quarantine's too"
    ordered = "SELECT column_name, data_type, is_nullable FROM information_schema.columns WHERE table_name = 'orders'"
    columns = {row["column_name"]: row for row in rows(cursor, ordered + " AND table_schema = 'sources'")}
    assert columns["amount"]["data_type"] == "Float64"
    assert set(columns) == {row["column_name"] for row in described}
    with pytest.raises(adbc_driver_manager.Error, match="information_schema.schemata"):
        rows(cursor, "SHOW SCHEMAS")

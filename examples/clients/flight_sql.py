"""Queries the tables and the catalog of a Mainspring server by SQL, over Arrow Flight.

    pip install adbc-driver-flightsql pyarrow pandas
    python flight_sql.py grpc://127.0.0.1:7879

The address is that of `mainspring serve --grpc ADDRESS`; a key, if the server asks for one, goes into MAINSPRING_KEY.
"""

import os
import sys

import adbc_driver_flightsql.dbapi as flight_sql
from adbc_driver_flightsql import DatabaseOptions

uri = sys.argv[1] if len(sys.argv) > 1 else os.environ.get("MAINSPRING_FLIGHT", "grpc://127.0.0.1:7879")
key = os.environ.get("MAINSPRING_KEY")
options = {DatabaseOptions.AUTHORIZATION_HEADER.value: f"Bearer {key}"} if key else {}

with flight_sql.connect(uri, db_kwargs=options, autocommit=True) as connection:
    # what there is to query
    (catalog,) = connection.adbc_get_objects(depth="tables").read_all().to_pylist()
    for schema in catalog["catalog_db_schemas"]:
        for table in schema["db_schema_tables"]:
            print(f"{table['table_type']:<6} {schema['db_schema_name']}.{table['table_name']}")

    with connection.cursor() as cursor:
        # runs and what they came to, as a data frame
        cursor.execute(
            """
            SELECT r.experiment, r.status, r.started_at, v.version
            FROM platform.runs r LEFT JOIN platform.versions v ON v.run_id = r.run_id
            WHERE r.status = ? ORDER BY r.started_at DESC LIMIT 10
            """,
            ("succeeded",),
        )
        print(cursor.fetch_df())

        # a long result, a batch at a time: neither side holds it whole
        cursor.execute("SELECT value, value * value AS square FROM generate_series(1, 1000000)")
        rows = sum(batch.num_rows for batch in cursor.fetch_record_batch())
        print(f"{rows:,} rows were streamed")

"""The peer of the point-in-time benchmark: DuckDB's ASOF JOIN of the same files.

Called by the benchmark as  point_in_time_duckdb.py FOLDER THREADS [MEMORY];  prints one line of JSON: seconds (best of
three), labels with a value, and the sum of the values.
"""

import json
import pathlib
import sys
import time

import duckdb

folder, threads = pathlib.Path(sys.argv[1]), int(sys.argv[2])
connection = duckdb.connect()
connection.execute(f"set threads = {threads}")
if len(sys.argv) > 3:
    connection.execute(f"set memory_limit = '{sys.argv[3]}'")
query = f"""
    select count(*), count(r.value), sum(r.value)
    from '{folder / "labels.parquet"}' l
    asof left join '{folder / "rows.parquet"}' r on l.entity = r.entity and l.happened >= r.happened
"""
best = float("inf")
for _ in range(3):
    started = time.perf_counter()
    labels, joined, total = connection.execute(query).fetchone()
    best = min(best, time.perf_counter() - started)
print(json.dumps({"seconds": best, "labels": labels, "joined": joined, "total": total}))

"""Large results, cancelled and limited ones: memory stays bounded, and nothing is cut without a word."""

import contextlib
import threading
import time

import adbc_driver_manager
import pyarrow as pa
import pyarrow.flight as flight
import pytest

from harness import PATIENCE, waited
from wire import Client

LARGE = "SELECT value, repeat('0123456789', 10) || CAST(value AS VARCHAR) AS text FROM generate_series(1, {rows})"
MEMORY = 96 << 20
"""What the server's queries may take together."""


class Watched:
    """The most memory that a server takes while the block runs."""

    def __init__(self, server):
        self.server, self.most, self.done = server, 0, threading.Event()
        self.before = server.resident_bytes()

    def __enter__(self):
        self.thread = threading.Thread(target=self.watch)
        self.thread.start()
        return self

    def watch(self):
        while not self.done.is_set():
            self.most = max(self.most, self.server.resident_bytes())
            time.sleep(0.02)

    def __exit__(self, *_):
        self.done.set()
        self.thread.join()

    @property
    def grown(self):
        return self.most - self.before


def test_a_result_larger_than_memory_is_streamed(server, cursor):
    rows, bytes_read = 4_000_000, 0
    with Watched(server) as watched:
        cursor.execute(LARGE.format(rows=rows))
        count = total = 0
        for batch in cursor.fetch_record_batch():
            count += batch.num_rows
            bytes_read += batch.nbytes
            total += batch.column(0).cast("int64").to_numpy().sum()

    assert count == rows and total == rows * (rows + 1) // 2
    assert bytes_read > 4 * MEMORY
    assert watched.grown < MEMORY, f"{watched.grown:,} bytes more were held"


def test_a_reader_that_waits_makes_the_query_wait(server, cursor):
    with Watched(server) as watched:
        # more than could be computed while it is waited for
        cursor.execute(LARGE.format(rows=2_000_000_000))
        batches = cursor.fetch_record_batch()
        batches.read_next_batch()
        assert idle(server), "nothing is computed that nobody reads"

    assert watched.grown < MEMORY


def cpu_seconds(server):
    with open(f"/proc/{server.process.pid}/stat") as stat:
        words = stat.read().rsplit(")", 1)[1].split()
    return (int(words[11]) + int(words[12])) / 100


def test_a_sort_larger_than_memory_spills_and_is_right(server, cursor):
    rows = 1_500_000
    cursor.execute(f"SELECT text FROM ({LARGE.format(rows=rows)}) ORDER BY value * 7919 % 1000003, value")
    count = 0
    with Watched(server) as watched:
        for batch in cursor.fetch_record_batch():
            count += batch.num_rows

    assert count == rows
    assert watched.grown < 3 * MEMORY


def idle(server):
    """Waits until the server computes nothing any more."""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        before = cpu_seconds(server)
        time.sleep(0.5)
        if cpu_seconds(server) - before < 0.1:
            return True
    return False


ENDLESS = "SELECT count(*) FROM generate_series(1, 1000000000000) a WHERE a.value % 3 = 7"


JOINED = """SELECT count(*) FROM sources.orders a, sources.orders b, sources.orders c, sources.orders d
    WHERE a.amount + b.amount + c.amount + d.amount < 0"""


@pytest.mark.parametrize("sql", [ENDLESS, JOINED])
def test_a_query_that_its_client_cancels_ends(server, connect, sql):
    with connect() as connection, connection.cursor() as cursor:
        ended = threading.Event()

        def cancel():
            # again, when it came before the query was under way
            while not ended.wait(1):
                with contextlib.suppress(adbc_driver_manager.Error):
                    cursor.adbc_cancel()

        canceller = threading.Thread(target=cancel)
        canceller.start()
        try:
            with pytest.raises(adbc_driver_manager.Error, match="(?i)cancel|resources exhausted"):
                cursor.execute(sql)
                cursor.fetchall()
        finally:
            ended.set()
            canceller.join()

    assert idle(server), "the query goes on without a reader"


def test_a_query_is_cancelled_by_its_flight_info(server):
    client = Client(server.grpc)
    info = client.info(ENDLESS)
    ended = []

    def read():
        try:
            client.count(info)
        except flight.FlightCancelledError as error:
            ended.append(str(error))

    assert client.cancel(info) == 3, "what is not under way cannot be cancelled"
    reader = threading.Thread(target=read)
    reader.start()
    waited(lambda: client.cancel(info) == 1)
    reader.join(PATIENCE)

    assert ended and "was cancelled" in ended[0]
    assert idle(server)


def test_a_client_that_goes_away_ends_its_query(server):
    client = Client(server.grpc)
    reader = client.client.do_get(client.info(LARGE.format(rows=40_000_000)).endpoints[0].ticket)
    reader.read_chunk()
    reader.cancel()
    client.client.close()

    assert idle(server)


def test_a_result_over_the_limit_of_its_reader_is_refused_and_not_cut(connect, keys):
    def read(key, rows):
        with connect(keys[key]) as connection, connection.cursor() as cursor:
            cursor.execute(f"SELECT value FROM generate_series(1, {rows})")
            return cursor.fetch_arrow_table().num_rows

    assert read("viewer", 5_000) == 5_000
    with pytest.raises(adbc_driver_manager.Error, match="more than 5000 rows.*user:viewer.*query.rows_of.viewer"):
        read("viewer", 5_001)
    assert read("board", 100) == 100
    with pytest.raises(adbc_driver_manager.Error, match="more than 100 rows.*query.rows_of.user:board"):
        read("board", 101)
    assert read("admin", 100_000) == 100_000


def test_too_many_queries_at_a_time_are_refused_and_the_rest_go_on(server):
    client = Client(server.grpc)
    readers = []

    def one_more():
        reader = client.client.do_get(client.info(LARGE.format(rows=40_000_000)).endpoints[0].ticket)
        reader.read_chunk()
        readers.append(reader)
        return True

    def admitted():
        with contextlib.suppress(pa.ArrowException):
            return one_more()

    while len(readers) < 16:
        # a query that an earlier test left gives its place back in a moment
        waited(admitted)
    with pytest.raises(pa.ArrowException, match="16 queries under way"):
        one_more()
    for reader in readers:
        reader.cancel()

    def answers():
        with contextlib.suppress(pa.ArrowException):
            return client.read(client.info("SELECT 1 AS one")).num_rows == 1

    waited(answers)


def test_memory_that_a_query_may_not_have_is_an_error_of_that_query(cursor):
    with pytest.raises(adbc_driver_manager.Error, match="(?i)resources exhausted|memory"):
        cursor.execute("SELECT array_agg(value || 'x' || value) FROM generate_series(1, 30000000)")
        cursor.fetchall()
    cursor.execute("SELECT 1 AS one")
    assert cursor.fetchone() == (1,)


def test_a_plan_that_doubles_at_each_step_is_refused(cursor):
    steps = ", ".join(f"t{n} AS (SELECT a.x FROM t{n - 1} a, t{n - 1} b)" for n in range(1, 40))
    with pytest.raises(adbc_driver_manager.Error, match="steps or more, the most is"):
        cursor.execute(f"WITH t0 AS (SELECT 1 AS x), {steps} SELECT * FROM t39")


@pytest.mark.parametrize("sql", [
    "SELECT repeat('x', 2000000000 + value) FROM generate_series(1, 8192)",
    "SELECT range(0, 1000000000000)",
    "SELECT array_repeat(value, 1000000000000) FROM generate_series(1, 2)",
    "SELECT replace(text, 'x', text) FROM (SELECT repeat('x', 100000 + value) AS text FROM generate_series(1, 2))",
    "SELECT repeat('x', 200000) || repeat('y', 200000)",
    "SELECT CAST(NULL AS INT[2000000000]) FROM generate_series(1, 2)",
    "SELECT approx_percentile_cont(0.5, 1000000000000) WITHIN GROUP (ORDER BY value) FROM generate_series(1, 9)",
])
def test_a_function_that_would_make_too_much_is_refused_and_the_server_goes_on(server, cursor, sql):
    with Watched(server) as watched, pytest.raises(adbc_driver_manager.Error, match="the most is") as refused:
        cursor.execute(sql)
        cursor.fetchall()

    assert "trace id" not in str(refused.value), "it is the caller's mistake, and none of the server's"
    assert watched.grown < MEMORY
    cursor.execute("SELECT repeat('ab', 3) || 'c' AS text")
    assert cursor.fetchone() == ("abababc",)


def test_a_limit_beyond_all_rows_takes_no_memory(cursor):
    cursor.execute(
        "SELECT value % 3 AS k, max(value) AS greatest FROM generate_series(1, 100) GROUP BY k"
        " ORDER BY greatest DESC NULLS LAST LIMIT 1000000000000"
    )
    assert cursor.fetchall() == [(1, 100), (0, 99), (2, 98)]

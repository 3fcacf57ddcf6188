"""Who may read what: the policy at every table, marks of persons at every column, tickets for whom they were given."""

import adbc_driver_manager
import pyarrow as pa
import pyarrow.flight as flight
import pytest

from harness import Server
from wire import Client, field, packed


@pytest.fixture
def ask(connect, keys):
    def ask_as(role, sql):
        with connect(keys[role]) as connection, connection.cursor() as cursor:
            cursor.execute(sql)
            return cursor.fetch_arrow_table()

    return ask_as


def test_a_wrong_key_is_nobody(connect):
    with pytest.raises(adbc_driver_manager.Error, match="(?i)unauthenticated"):
        with connect("ms_wrong_key") as connection, connection.cursor() as cursor:
            cursor.execute("SELECT 1")


def test_clients_that_know_only_passwords_send_the_key_as_one(server, connect, keys):
    with connect(username="whoever", password=keys["viewer"]) as connection, connection.cursor() as cursor:
        with pytest.raises(adbc_driver_manager.Error, match="user:viewer may not"):
            cursor.execute("SELECT * FROM platform.audit")
    client = flight.connect(f"grpc://{server.grpc}")
    header = client.authenticate_basic_token("whoever", keys["admin"])
    options = flight.FlightCallOptions(headers=[header])
    descriptor = flight.FlightDescriptor.for_command(packed("CommandStatementQuery", field(1, "SELECT 1 AS one")))
    ticket = client.get_flight_info(descriptor, options).endpoints[0].ticket
    assert client.do_get(ticket, options).read_all().num_rows == 1
    with pytest.raises(flight.FlightUnauthenticatedError):
        client.authenticate_basic_token("whoever", "no such key")


def test_a_role_that_may_not_read_tables_reads_none_and_sees_none(ask, connect, keys):
    with pytest.raises(adbc_driver_manager.Error, match="user:caller may not do table.read on table:sources.orders"):
        ask("caller", "SELECT count(*) FROM sources.orders")
    with pytest.raises(adbc_driver_manager.Error, match="table.read"):
        ask("caller", "SELECT 1 WHERE EXISTS (SELECT 1 FROM platform.runs)")
    with connect(keys["caller"]) as connection:
        objects = connection.adbc_get_objects(depth="tables").read_all().to_pylist()
    assert all(not found["db_schema_tables"] for found in objects[0]["catalog_db_schemas"])
    assert ask("caller", "SHOW TABLES").num_rows == 0
    assert ask("caller", "SELECT 1 AS one").to_pylist() == [{"one": 1}]


def test_columns_that_tell_of_persons_are_for_those_who_may(ask, connect, keys):
    assert "email" in ask("admin", "SELECT * FROM orders LIMIT 1").schema.names
    assert "email" not in ask("viewer", "SELECT * FROM orders LIMIT 1").schema.names
    assert ask("viewer", "SELECT count(*) AS n, sum(amount) AS amount FROM orders").num_rows == 1
    for sql in [
        "SELECT email FROM orders",
        "SELECT count(*) FROM orders WHERE email = 'p1@example.org'",
        "SELECT o.order_id FROM orders o ORDER BY o.email LIMIT 1",
        "SELECT count(DISTINCT email) FROM orders",
        'SELECT email FROM sources."orders@0"',
        'SELECT "row" FROM quarantine.orders',
        "SELECT reason FROM quarantine.orders",
    ]:
        with pytest.raises(adbc_driver_manager.Error, match="tells of persons and is not shown.*table.read_personal"):
            ask("viewer", sql)
    with connect(keys["viewer"]) as connection:
        assert "email" not in connection.adbc_get_table_schema("orders", db_schema_filter="sources").names
    of_orders = "SELECT column_name FROM information_schema.columns WHERE table_schema = 'sources' AND table_name = 'orders'"
    columns = {who: set(ask(who, of_orders)["column_name"].to_pylist()) for who in ("admin", "viewer")}
    assert columns["admin"] - columns["viewer"] == {"email"}


def test_asking_for_personal_data_by_name_is_left_in_the_audit_log(ask):
    with pytest.raises(adbc_driver_manager.Error):
        ask("viewer", "SELECT email FROM orders")
    entries = ask(
        "admin",
        """SELECT outcome, subject FROM platform.audit
           WHERE principal = 'viewer' AND action = 'table.read_personal' ORDER BY seq DESC""",
    ).to_pylist()

    assert entries[0] == {"outcome": "denied", "subject": "table:sources.orders"}


def test_the_audit_log_has_a_permission_of_its_own(ask):
    with pytest.raises(adbc_driver_manager.Error, match="audit.read on audit:log"):
        ask("viewer", "SELECT * FROM platform.audit")
    assert ask("admin", "SELECT * FROM platform.audit").num_rows > 0


def test_a_ticket_is_of_use_to_whom_it_was_given(server, keys):
    admin, viewer, local = (Client(server.grpc, key) for key in (keys["admin"], keys["viewer"], None))
    info = admin.info("SELECT email FROM sources.orders LIMIT 3")

    assert admin.read(info).num_rows == 3
    for other in (viewer, local):
        with pytest.raises(flight.FlightUnauthorizedError, match="given to somebody else"):
            other.read(info)
    # nor may another stop the query
    with pytest.raises(flight.FlightUnauthorizedError, match="given to somebody else"):
        viewer.cancel(info)


def test_tickets_cannot_be_made_up(server):
    client = Client(server.grpc)
    good = client.info("SELECT 1 AS one").endpoints[0].ticket.ticket
    for bad in [
        b"",
        b"sources.orders",
        good[:-1],
        good + b"x",
        bytes([*good[:-20], good[-20] ^ 1, *good[-19:]]),
        packed("TicketStatementQuery", field(1, b"SELECT 1")),
        packed("CommandStatementQuery", field(1, b"SELECT 1")),
        packed("CommandPreparedStatementQuery", field(1, b"\0" * 16)),
        packed("NoSuchCommand", b""),
    ]:
        with pytest.raises(pa.ArrowException):
            client.client.do_get(flight.Ticket(bad), client.options).read_all()


def test_a_ticket_shows_the_tables_as_they_were_when_it_was_given(server):
    client = Client(server.grpc)
    info = client.info("SELECT count(*) AS n FROM sources.orders")

    assert client.read(info) == client.read(info)


def test_prepared_statements_are_their_owners(server, keys):
    admin, viewer = Client(server.grpc, keys["admin"]), Client(server.grpc, keys["viewer"])
    handle = admin.prepare("SELECT order_id FROM orders WHERE order_id = $1")
    admin.bind(handle, pa.table({"a": ["O00001"]}))
    info = admin.info_of("CommandPreparedStatementQuery", field(1, handle))
    assert admin.read(info).to_pylist() == [{"order_id": "O00001"}]
    admin.bind(handle, pa.table({"a": ["O00002"]}))
    assert admin.read(admin.info_of("CommandPreparedStatementQuery", field(1, handle))).to_pylist() == [
        {"order_id": "O00002"}
    ]
    with pytest.raises(pa.ArrowException, match="no such prepared statement"):
        viewer.info_of("CommandPreparedStatementQuery", field(1, handle))
    with pytest.raises(pa.ArrowException, match="no such prepared statement"):
        viewer.bind(handle, pa.table({"a": ["O00003"]}))
    viewer.close_statement(handle)
    assert admin.read(info).num_rows == 1
    admin.close_statement(handle)
    with pytest.raises(pa.ArrowException, match="no such prepared statement"):
        admin.read(info)


def test_statements_that_are_never_closed_make_room_for_new_ones(server, keys):
    client = Client(server.grpc, keys["board"])
    handles = [client.prepare(f"SELECT {number} AS number") for number in range(70)]

    newest = client.info_of("CommandPreparedStatementQuery", field(1, handles[-1]))
    assert client.read(newest).to_pylist() == [{"number": 69}]
    with pytest.raises(pa.ArrowException, match="no such prepared statement"):
        client.info_of("CommandPreparedStatementQuery", field(1, handles[0]))


def test_too_many_bound_values_are_refused(server):
    client = Client(server.grpc)
    handle = client.prepare("SELECT * FROM orders WHERE order_id = $1")
    with pytest.raises(pa.ArrowException, match="1001 rows are bound"):
        client.bind(handle, pa.table({"a": ["x"] * 1_001}))
    with pytest.raises(pa.ArrowException, match="take more than"):
        client.bind(handle, pa.table({"a": ["x" * 3_000_000]}))


def test_compressed_values_are_refused(server):
    client = Client(server.grpc)
    handle = client.prepare("SELECT order_id FROM orders WHERE order_id = $1")
    descriptor = flight.FlightDescriptor.for_command(packed("CommandPreparedStatementQuery", field(1, handle)))
    values = pa.table({"a": ["O00001"]})
    options = flight.FlightCallOptions(write_options=pa.ipc.IpcWriteOptions(compression="lz4"))
    writer, _ = client.client.do_put(descriptor, values.schema, options)
    with pytest.raises(pa.ArrowException, match="are compressed"):
        with writer:
            writer.write_table(values)
    client.bind(handle, values)
    info = client.info_of("CommandPreparedStatementQuery", field(1, handle))
    assert client.read(info).to_pylist() == [{"order_id": "O00001"}]


def test_a_ticket_does_not_outlive_the_server(tmp_path):
    with Server(tmp_path / "empty", "--grpc", "127.0.0.1:0") as server:
        ticket = Client(server.grpc).info("SELECT 1 AS one").endpoints[0].ticket
    with Server(tmp_path / "empty", "--grpc", "127.0.0.1:0") as server:
        client = Client(server.grpc)
        with pytest.raises(pa.ArrowException, match="started anew"):
            client.client.do_get(ticket).read_all()
        # an empty folder has nothing, and says so kindly
        assert client.read(client.info("SELECT count(*) AS n FROM platform.runs")).to_pylist() == [{"n": 0}]
        with pytest.raises(pa.ArrowException, match="there is no table sources.orders"):
            client.info("SELECT * FROM sources.orders")

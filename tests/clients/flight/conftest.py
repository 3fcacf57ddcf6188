"""A project made of a file of orders, trained, served and asked for predictions; and a server that Arrow clients query."""

import csv
import pathlib
import random

import adbc_driver_flightsql.dbapi as flight_sql
import pytest
from adbc_driver_flightsql import DatabaseOptions

from harness import Server, mainspring

ORDERS = 2_000
"""Rows of the file that are good."""
SPOILT = 3
"""Rows of the file that break a rule."""


BASKET = """
entity: basket
keys: [{name: items, type: int64}]
---
feature_view: basket_latest
entity: basket
sql: SELECT items, ordered_at, amount AS last_amount FROM orders
event_time: ordered_at
features: {last_amount: the amount of the last basket of that size}
"""


def write_orders(path: pathlib.Path):
    chance = random.Random(7)
    with path.open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["order_id", "ordered_at", "email", "amount", "items", "returned"])
        for number in range(ORDERS):
            amount, items = round(chance.uniform(1, 500), 2), chance.randint(1, 9)
            at = f"2024-{1 + number % 12:02}-{1 + number % 28:02} {number % 24:02}:30:00"
            returned = "yes" if amount * items > 900 else "no"
            rows.writerow([f"O{number:05}", at, f"p{number % 50}@example.org", amount, items, returned])


def spoil(path: pathlib.Path):
    """Adds rows whose amount is no number."""
    with path.open("a") as file:
        for number in range(SPOILT):
            file.write(f"S{number:05},2024-03-01 10:30:00,p1@example.org,much,3,no\n")


@pytest.fixture(scope="session")
def project(tmp_path_factory):
    folder = tmp_path_factory.mktemp("flight") / "shop"
    folder.mkdir()
    orders = folder.parent / "orders.csv"
    write_orders(orders)
    words = ["--label", "returned", "--time", "ordered_at", "--key", "order_id"]
    mainspring(folder, "init", "--from", orders, *words)
    spoil(orders)
    source = folder / "sources/orders.yaml"
    text = source.read_text().replace("{name: email, type: string", "{name: email, personal: true, type: string")
    assert "personal: true" in text, text
    source.write_text(text)
    (folder / "features/basket.yaml").write_text(BASKET)
    with (folder / "mainspring.yaml").open("a") as file:
        limits = "{rows: 50000000, rows_of: {viewer: 5000, 'user:board': 100}}"
        file.write(f"\ntargets:\n  dev:\n    query: {limits}\n")
    mainspring(folder, "apply")
    mainspring(folder, "run")
    return folder


@pytest.fixture(scope="session")
def keys(project):
    """A key for each role, and one for a dashboard with a limit of its own."""
    made = {role: mainspring(project, "key", "create", role, "--role", role).split()[-1] for role in ("caller", "viewer", "admin")}
    made["board"] = mainspring(project, "key", "create", "board", "--role", "viewer").split()[-1]
    return made


@pytest.fixture(scope="session")
def server(project, keys):
    with Server(project, "--grpc", "127.0.0.1:0", "--memory", "96MiB") as server:
        endpoint = server.json("/api/v1/endpoints")["items"][0]
        rows = [
            {"order_id": f"N{number}", "ordered_at": "2024-12-30T10:00:00Z", "email": "new@example.org",
             "amount": 10.5 + number, "items": 3}
            for number in range(5)
        ]
        server.endpoint = endpoint["endpoint"]
        server.post(f"/api/v1/endpoints/{server.endpoint}/predict", {"rows": rows})
        yield server


@pytest.fixture(scope="session")
def connect(server):
    """Opens a connection, without credentials or with the key of a role."""

    def open_connection(key: str | None = None, **options):
        if key:
            options[DatabaseOptions.AUTHORIZATION_HEADER.value] = f"Bearer {key}"
        return flight_sql.connect(f"grpc://{server.grpc}", db_kwargs=options, autocommit=True)

    return open_connection


@pytest.fixture
def cursor(connect):
    with connect() as connection, connection.cursor() as cursor:
        yield cursor

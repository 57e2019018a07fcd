"""contactexport.db.connection.ConnectionPool: connections that stay open between two uses."""

import select
import threading
import time
from collections.abc import Iterator
from types import SimpleNamespace

import psycopg2
import pytest

from contactexport.context import Context
from contactexport.db import connection as connection_pool
from contactexport.db.connection import ConnectionPool
from contactexport.errors import DatabaseUnavailable


@pytest.fixture
def pool(context: Context) -> Iterator[ConnectionPool]:
    made = ConnectionPool(context.database._connect)
    yield made
    made.close()


def opened(pool: ConnectionPool, number: int) -> list[psycopg2.extensions.connection]:
    return [pool.take() for _ in range(number)]


def test_pool_takes_the_connection_used_last_first(pool: ConnectionPool):
    first, second = opened(pool, 2)
    pool.give_back(first)
    pool.give_back(second)
    assert opened(pool, 2) == [second, first]


def test_pool_drops_a_closed_connection(pool: ConnectionPool):
    (conn,) = opened(pool, 1)
    conn.close()
    pool.give_back(conn)
    assert pool.take() is not conn


def test_pool_closes_connections_beyond_its_limit(pool: ConnectionPool, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(connection_pool, "REUSABLE_CONNECTIONS", 2)
    conns = opened(pool, 4)
    for conn in conns:
        pool.give_back(conn)
    assert [bool(conn.closed) for conn in conns] == [False, False, True, True]


def test_pool_waits_until_a_connection_is_given_back(context: Context, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(connection_pool, "MAX_CONNECTIONS", 1)
    pool = ConnectionPool(context.database._connect)
    (conn,) = opened(pool, 1)
    threading.Timer(0.2, pool.give_back, [conn]).start()
    assert pool.take() is conn
    monkeypatch.setattr(connection_pool, "WAIT_SECONDS", 0.1)
    with pytest.raises(DatabaseUnavailable, match="All 1 database connections of this process are in use"):
        pool.take()
    conn.close()


def test_failed_connect_takes_no_place_in_the_pool(monkeypatch: pytest.MonkeyPatch):
    def refuse() -> psycopg2.extensions.connection:
        raise psycopg2.OperationalError("refused")

    monkeypatch.setattr(connection_pool, "MAX_CONNECTIONS", 1)
    pool = ConnectionPool(refuse)
    for _ in range(3):
        with pytest.raises(psycopg2.OperationalError, match="refused"):
            pool.take()


def test_pool_pings_a_connection_that_was_idle_for_long(pool: ConnectionPool, monkeypatch: pytest.MonkeyPatch):
    (conn,) = opened(pool, 1)
    pool.give_back(conn)
    silent = SimpleNamespace(register=lambda *_: None, poll=lambda _: [])
    monkeypatch.setattr(connection_pool, "select", SimpleNamespace(poll=lambda: silent, POLLIN=select.POLLIN))
    with psycopg2.connect(conn.dsn) as other, other.cursor() as cursor:
        cursor.execute("SELECT pg_terminate_backend(%s, 5000)", [conn.info.backend_pid])
    other.close()
    later = time.monotonic() + connection_pool.TRUSTED_SECONDS
    monkeypatch.setattr(connection_pool.time, "monotonic", lambda: later)
    (new,) = opened(pool, 1)
    assert new is not conn
    assert conn.closed
    pool.give_back(new)

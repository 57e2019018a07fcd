"""contactexport.db.connection_pool: connections that stay open between two uses."""

import threading
import time
from collections.abc import Iterator

import psycopg2
import pytest

from contactexport.backend import Backend
from contactexport.db import connection_pool
from contactexport.db.connection_pool import ConnectionPool
from contactexport.errors import DatabaseUnavailable


@pytest.fixture
def pool(backend: Backend) -> Iterator[ConnectionPool]:
    made = ConnectionPool(backend.database._connect)
    yield made
    made.close()


def opened(pool: ConnectionPool, number: int) -> list[psycopg2.extensions.connection]:
    return [pool.take() for _ in range(number)]


def test_the_one_used_last_is_taken_first(pool: ConnectionPool):
    first, second = opened(pool, 2)
    pool.give_back(first)
    pool.give_back(second)
    assert opened(pool, 2) == [second, first]


def test_a_closed_one_is_not_kept(pool: ConnectionPool):
    (conn,) = opened(pool, 1)
    conn.close()
    pool.give_back(conn)
    assert pool.take() is not conn


def test_no_more_stay_open_than_are_to_be_kept(pool: ConnectionPool, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(connection_pool, "KEPT_CONNECTIONS", 2)
    conns = opened(pool, 4)
    for conn in conns:
        pool.give_back(conn)
    assert [bool(conn.closed) for conn in conns] == [False, False, True, True]


def test_whoever_finds_all_in_use_waits_until_one_is_given_back(backend: Backend, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(connection_pool, "MOST_CONNECTIONS", 1)
    pool = ConnectionPool(backend.database._connect)
    (conn,) = opened(pool, 1)
    threading.Timer(0.2, pool.give_back, [conn]).start()
    assert pool.take() is conn
    monkeypatch.setattr(connection_pool, "WAIT_SECONDS", 0.1)
    with pytest.raises(DatabaseUnavailable, match="All 1 database connections of this process are in use"):
        pool.take()
    conn.close()


def test_one_that_cannot_be_opened_takes_no_place(monkeypatch: pytest.MonkeyPatch):
    def refuse() -> psycopg2.extensions.connection:
        raise psycopg2.OperationalError("refused")

    monkeypatch.setattr(connection_pool, "MOST_CONNECTIONS", 1)
    pool = ConnectionPool(refuse)
    for _ in range(3):
        with pytest.raises(psycopg2.OperationalError, match="refused"):
            pool.take()


def test_one_that_lay_idle_for_long_is_asked_whether_it_lives(pool: ConnectionPool, monkeypatch: pytest.MonkeyPatch):
    (conn,) = opened(pool, 1)
    pool.give_back(conn)
    monkeypatch.setattr(connection_pool, "_has_something_to_read", lambda _: False)
    with psycopg2.connect(conn.dsn) as other, other.cursor() as cursor:
        cursor.execute("SELECT pg_terminate_backend(%s, 5000)", [conn.info.backend_pid])
    other.close()
    later = time.monotonic() + connection_pool.TRUSTED_SECONDS
    monkeypatch.setattr(connection_pool.time, "monotonic", lambda: later)
    (new,) = opened(pool, 1)
    assert new is not conn
    assert conn.closed
    pool.give_back(new)

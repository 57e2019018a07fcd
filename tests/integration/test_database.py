"""contactexport.db.connection: transactions, sessions, and what a lost connection becomes."""

import subprocess
import sys
import threading

import psycopg2
import pytest
from exporting import add_contact, backend_with, execute, other_session
from served import wait_until

from contactexport.backend import Backend
from contactexport.db import advisory_lock
from contactexport.db.connection import begin_snapshot
from contactexport.db.connection_errors import translated_errors
from contactexport.errors import (
    DatabaseConflict,
    DatabaseInTrouble,
    DatabaseUnavailable,
    SchemaMismatch,
    SettingsError,
)

# A child of a fork asks for its connection, while the parent goes on with its own.
FORK = """
import os, sys
from contactexport.db.connection import Database
database = Database(lambda: sys.argv[1])
def pid():
    with database.transaction() as conn:
        return conn.get_backend_pid()
parent = pid()
child = os.fork()
if child == 0:
    other = pid()
    database.close()
    os._exit(int(other == parent))
status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
assert pid() == parent
database.close()
sys.exit(status)
"""


def kill_connections(backend: Backend) -> None:
    with other_session(backend) as other, other.cursor() as cursor:
        cursor.execute(
            "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )


def test_what_a_block_did_is_committed_or_rolled_back_as_a_whole(backend: Backend):
    def fail_halfway() -> None:
        with backend.database.transaction() as conn, conn.cursor() as cursor:
            cursor.execute("INSERT INTO contact DEFAULT VALUES")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail_halfway()
    assert execute(backend, "SELECT count(*) AS n FROM contact") == [{"n": 0}]
    add_contact(backend)
    assert execute(backend, "SELECT count(*) AS n FROM contact") == [{"n": 1}]


def test_connections_that_died_in_the_pool_are_replaced(backend: Backend):
    execute(backend, "SELECT 1 AS one")
    kill_connections(backend)
    assert execute(backend, "SELECT 1 AS one") == [{"one": 1}]


def test_a_connection_that_breaks_off_in_a_block_is_an_outage_and_the_next_block_works(backend: Backend):
    def break_off(opened) -> None:
        with opened() as conn, conn.cursor() as cursor:
            kill_connections(backend)
            cursor.execute("SELECT 1")

    for opened in (backend.database.transaction, backend.database.session):
        with pytest.raises(DatabaseUnavailable) as outage:
            break_off(opened)
        assert len(outage.value.text.splitlines()) == 1
        assert execute(backend, "SELECT 1 AS one") == [{"one": 1}]


def test_a_statement_that_is_ended_is_trouble_of_the_server_and_no_outage(backend: Backend):
    with (
        pytest.raises(DatabaseInTrouble, match="statement timeout"),
        backend.database.transaction() as conn,
        conn.cursor() as cursor,
    ):
        cursor.execute("SET LOCAL statement_timeout = 10; SELECT pg_sleep(5)")


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        ("40001", DatabaseConflict),
        ("40P01", DatabaseConflict),
        ("58030", DatabaseInTrouble),
        ("58P01", DatabaseInTrouble),
        ("53100", DatabaseInTrouble),
        ("53300", DatabaseInTrouble),
        ("57P01", DatabaseUnavailable),
    ],
)
def test_conflicts_and_trouble_of_the_server_are_told_from_an_outage(
    backend: Backend, code: str, kind: type[DatabaseUnavailable]
):
    with pytest.raises(DatabaseUnavailable) as raised:
        execute(backend, f"DO $$ BEGIN RAISE EXCEPTION 'told' USING ERRCODE = '{code}'; END $$")
    assert type(raised.value) is kind


def test_a_missing_table_and_missing_rights_say_what_is_wrong(backend: Backend):
    with pytest.raises(SchemaMismatch, match='relation "nothing" does not exist: run `flask db upgrade`'):
        execute(backend, "SELECT * FROM nothing")
    with (
        pytest.raises(DatabaseUnavailable, match=r"refuses this user: .*read-only transaction"),
        backend.database.session(snapshot=True) as conn,
        conn.cursor() as cursor,
    ):
        cursor.execute("INSERT INTO contact DEFAULT VALUES")


def test_a_snapshot_does_not_see_what_comes_after_its_first_query(backend: Backend):
    with backend.database.session(snapshot=True) as conn, conn.cursor() as cursor:
        cursor.execute("SELECT count(*) AS n FROM contact")
        add_contact(backend)
        cursor.execute("SELECT count(*) AS n FROM contact")
        assert cursor.fetchone() == {"n": 0}


def test_a_session_sees_what_comes_before_its_snapshot_and_then_nothing_more(backend: Backend):
    count = "SELECT count(*) AS n FROM contact"
    with backend.database.session() as conn, conn.cursor() as cursor:
        cursor.execute(count)
        add_contact(backend)
        begin_snapshot(conn)
        cursor.execute(count)
        assert cursor.fetchone() == {"n": 1}
        add_contact(backend)
        cursor.execute(count)
        assert cursor.fetchone() == {"n": 1}
        with pytest.raises(psycopg2.errors.ReadOnlySqlTransaction):
            cursor.execute("INSERT INTO contact DEFAULT VALUES")


def test_sessions_speak_utc_and_iso_whatever_the_server_prefers(backend: Backend, database_name: str):
    execute(backend, f"ALTER DATABASE {database_name} SET timezone = 'Asia/Kathmandu'")
    execute(backend, f"ALTER DATABASE {database_name} SET datestyle = 'German, DMY'")
    with backend.database.session() as conn, conn.cursor() as cursor:
        cursor.execute("SELECT '2012-02-09 00:00+00'::timestamptz::text AS t, '2012-02-09'::date::text AS d")
        assert cursor.fetchone() == {"t": "2012-02-09 00:00:00+00", "d": "2012-02-09"}


def test_a_kept_session_is_as_new_for_the_next_one(backend: Backend):
    with backend.database.kept_session() as conn, conn.cursor() as cursor:
        first = conn.get_backend_pid()
        begin_snapshot(conn)
        cursor.execute("SELECT set_config('enable_hashjoin', 'off', true)")
        cursor.execute("LOCK TABLE contact IN ACCESS SHARE MODE")
    with backend.database.kept_session() as conn, conn.cursor() as cursor:
        assert conn.get_backend_pid() == first
        assert conn.autocommit
        cursor.execute("SHOW enable_hashjoin")
        assert cursor.fetchone() == {"enable_hashjoin": "on"}
        cursor.execute("INSERT INTO contact DEFAULT VALUES")
        execute(backend, "LOCK TABLE contact IN ACCESS EXCLUSIVE MODE NOWAIT")
    assert execute(backend, "SELECT count(*) AS n FROM contact") == [{"n": 1}]


def test_two_sessions_at_once_are_two(backend: Backend):
    with backend.database.kept_session() as one, backend.database.kept_session() as other:
        assert one.get_backend_pid() != other.get_backend_pid()


def test_a_session_whose_block_raised_is_not_kept(backend: Backend):
    with pytest.raises(ZeroDivisionError), backend.database.kept_session() as conn:
        raise ZeroDivisionError
    assert conn.closed
    with backend.database.kept_session() as new:
        assert new is not conn


def test_a_cancel_that_comes_too_late_costs_the_session_and_nothing_more(backend: Backend):
    with backend.database.kept_session() as conn, conn.cursor() as cursor:
        begin_snapshot(conn)
        cursor.execute("SELECT 1")
        kill_connections(backend)  # as harmful to the end of a transaction, and always in time
    assert conn.closed
    with backend.database.kept_session() as new, new.cursor() as cursor:
        cursor.execute("SELECT 1 AS one")
        assert cursor.fetchone() == {"one": 1}


def test_a_session_that_cannot_let_go_of_a_lock_is_given_up(backend: Backend):
    with backend.database.kept_session() as conn:
        assert advisory_lock.try_session_lock(conn, 5)
        conn.autocommit = False
        with conn.cursor() as cursor, pytest.raises(psycopg2.errors.DivisionByZero):
            cursor.execute("SELECT 1 / 0")
        advisory_lock.unlock_session(conn, 5)  # refused: the transaction is broken
    assert conn.closed
    with other_session(backend) as other:
        wait_until(lambda: advisory_lock.try_session_lock(other, 5), "the lock is free")


def test_sessions_have_no_time_limits(backend: Backend, database_name: str):
    execute(backend, f"ALTER DATABASE {database_name} SET statement_timeout = '1s'")
    for opened in (backend.database.session, backend.database.kept_session):
        with opened() as conn, conn.cursor() as cursor:
            cursor.execute("SHOW statement_timeout")
            assert cursor.fetchone() == {"statement_timeout": "0"}


def test_a_url_that_cannot_be_read_is_told_without_its_password(backend: Backend):
    wrong = backend_with(backend, database_url="postgresql://user:ge%heim@host/x")
    with pytest.raises(SettingsError, match="The database's URL cannot be read") as stopped:
        execute(wrong, "SELECT 1")
    assert "heim" not in stopped.value.text


def test_when_all_connections_are_in_use_one_waits_and_then_is_told(backend: Backend, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("contactexport.db.connection_pool.KEPT_CONNECTIONS", 1)
    monkeypatch.setattr("contactexport.db.connection_pool.MOST_CONNECTIONS", 1)
    monkeypatch.setattr("contactexport.db.connection_pool.WAIT_SECONDS", 0.1)
    narrow = backend_with(backend)
    told = "All 1 database connections of this process are in use"
    with narrow.database.transaction(), pytest.raises(DatabaseUnavailable, match=told):
        execute(narrow, "SELECT 1 AS one")
    assert execute(narrow, "SELECT 1 AS one") == [{"one": 1}]
    narrow.database.close()


def test_an_error_without_a_text_is_a_lost_connection():
    with pytest.raises(DatabaseUnavailable, match="does not answer: connection lost"), translated_errors():
        raise psycopg2.OperationalError


def test_nothing_is_shared_across_a_fork(backend: Backend):
    assert subprocess.run([sys.executable, "-c", FORK, backend.database.url], check=False).returncode == 0


def test_closing_twice_or_before_use_does_no_harm(backend: Backend):
    unused = backend_with(backend)
    unused.database.close()
    unused.database.close()
    assert execute(unused, "SELECT 1 AS one") == [{"one": 1}]
    unused.database.close()


def test_a_lock_is_waited_for_as_long_as_told(backend: Backend):
    with backend.database.session() as holder, holder.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_lock(5)")
        with backend.database.transaction() as conn:
            assert not advisory_lock.take_transaction_lock(conn, 5, wait_seconds=0.05)
        with backend.database.transaction() as conn:
            assert not advisory_lock.take_transaction_lock(conn, 5, wait_seconds=0)
        release = threading.Timer(0.1, advisory_lock.unlock_session, (holder, 5))
        release.start()
        with backend.database.transaction() as conn:
            assert advisory_lock.take_transaction_lock(conn, 5, wait_seconds=30)
        release.join()

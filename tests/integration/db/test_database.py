"""contactexport.db.connection: transactions, sessions, and lost connections."""

import subprocess
import sys
import threading

import psycopg2
import pytest

from contactexport.context import Context
from contactexport.db.connection import begin_snapshot
from contactexport.db.errors import translated_errors
from contactexport.db.queries import queries
from contactexport.errors import (
    DatabaseConflict,
    DatabaseInTrouble,
    DatabaseUnavailable,
    ExportAlreadyRunning,
    SchemaMismatch,
    SettingsError,
)
from contactexport.exports import lock
from tests.support.exporting import add_contact, context_with, execute, other_session
from tests.support.served import wait_until

# A forked child opens its own connection, and the parent goes on with its own.
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


def kill_connections(context: Context) -> None:
    with other_session(context) as other, other.cursor() as cursor:
        cursor.execute(
            "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )


def test_transaction_commits_or_rolls_back_as_a_whole(context: Context):
    def fail_halfway() -> None:
        with context.database.transaction() as conn, conn.cursor() as cursor:
            cursor.execute("INSERT INTO contact DEFAULT VALUES")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail_halfway()
    assert execute(context, "SELECT count(*) AS n FROM contact") == [{"n": 0}]
    add_contact(context)
    assert execute(context, "SELECT count(*) AS n FROM contact") == [{"n": 1}]


def test_pool_replaces_dead_connections(context: Context):
    execute(context, "SELECT 1 AS one")
    kill_connections(context)
    assert execute(context, "SELECT 1 AS one") == [{"one": 1}]


def test_lost_connection_is_an_outage_and_the_next_block_works(context: Context):
    def break_off(opened) -> None:
        with opened() as conn, conn.cursor() as cursor:
            kill_connections(context)
            cursor.execute("SELECT 1")

    for opened in (context.database.transaction, context.database.session):
        with pytest.raises(DatabaseUnavailable) as outage:
            break_off(opened)
        assert len(outage.value.text.splitlines()) == 1
        assert execute(context, "SELECT 1 AS one") == [{"one": 1}]


def test_statement_timeout_is_trouble_of_the_server_not_an_outage(context: Context):
    with (
        pytest.raises(DatabaseInTrouble, match="statement timeout"),
        context.database.transaction() as conn,
        conn.cursor() as cursor,
    ):
        cursor.execute("SET LOCAL statement_timeout = 10; SELECT pg_sleep(5)")


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        ("40001", DatabaseConflict),
        ("40P01", DatabaseConflict),
        ("55P03", DatabaseConflict),
        ("58030", DatabaseInTrouble),
        ("58P01", DatabaseInTrouble),
        ("53100", DatabaseInTrouble),
        ("53300", DatabaseInTrouble),
        ("57P01", DatabaseUnavailable),
    ],
)
def test_conflicts_and_trouble_of_the_server_have_their_own_errors(
    context: Context, code: str, kind: type[DatabaseUnavailable]
):
    with pytest.raises(DatabaseUnavailable) as raised:
        execute(context, f"DO $$ BEGIN RAISE EXCEPTION 'told' USING ERRCODE = '{code}'; END $$")
    assert type(raised.value) is kind


def test_missing_table_and_missing_rights_are_named(context: Context):
    with pytest.raises(SchemaMismatch, match='relation "nothing" does not exist: run `flask db upgrade`'):
        execute(context, "SELECT * FROM nothing")
    with (
        pytest.raises(DatabaseUnavailable, match=r"refuses this user: .*read-only transaction"),
        context.database.session(snapshot=True) as conn,
        conn.cursor() as cursor,
    ):
        cursor.execute("INSERT INTO contact DEFAULT VALUES")


def test_snapshot_does_not_see_changes_after_its_first_query(context: Context):
    with context.database.session(snapshot=True) as conn, conn.cursor() as cursor:
        cursor.execute("SELECT count(*) AS n FROM contact")
        add_contact(context)
        cursor.execute("SELECT count(*) AS n FROM contact")
        assert cursor.fetchone() == {"n": 0}


def test_session_sees_changes_before_its_snapshot_and_none_after(context: Context):
    count = "SELECT count(*) AS n FROM contact"
    with context.database.session() as conn, conn.cursor() as cursor:
        cursor.execute(count)
        add_contact(context)
        begin_snapshot(conn)
        cursor.execute(count)
        assert cursor.fetchone() == {"n": 1}
        add_contact(context)
        cursor.execute(count)
        assert cursor.fetchone() == {"n": 1}
        with pytest.raises(psycopg2.errors.ReadOnlySqlTransaction):
            cursor.execute("INSERT INTO contact DEFAULT VALUES")


def test_sessions_use_utc_and_iso_dates_on_any_server(context: Context, database_name: str):
    execute(context, f"ALTER DATABASE {database_name} SET timezone = 'Asia/Kathmandu'")
    execute(context, f"ALTER DATABASE {database_name} SET datestyle = 'German, DMY'")
    with context.database.session() as conn, conn.cursor() as cursor:
        cursor.execute("SELECT '2012-02-09 00:00+00'::timestamptz::text AS t, '2012-02-09'::date::text AS d")
        assert cursor.fetchone() == {"t": "2012-02-09 00:00:00+00", "d": "2012-02-09"}


def test_reused_session_is_like_a_new_one(context: Context):
    with context.database.reusable_session() as conn, conn.cursor() as cursor:
        first = conn.get_backend_pid()
        begin_snapshot(conn)
        cursor.execute("SELECT set_config('enable_hashjoin', 'off', true)")
        cursor.execute("LOCK TABLE contact IN ACCESS SHARE MODE")
    with context.database.reusable_session() as conn, conn.cursor() as cursor:
        assert conn.get_backend_pid() == first
        assert conn.autocommit
        cursor.execute("SHOW enable_hashjoin")
        assert cursor.fetchone() == {"enable_hashjoin": "on"}
        cursor.execute("INSERT INTO contact DEFAULT VALUES")
        execute(context, "LOCK TABLE contact IN ACCESS EXCLUSIVE MODE NOWAIT")
    assert execute(context, "SELECT count(*) AS n FROM contact") == [{"n": 1}]


def test_two_sessions_at_once_are_different(context: Context):
    with context.database.reusable_session() as one, context.database.reusable_session() as other:
        assert one.get_backend_pid() != other.get_backend_pid()


def test_session_whose_block_raised_is_closed(context: Context):
    with pytest.raises(ZeroDivisionError), context.database.reusable_session() as conn:
        raise ZeroDivisionError
    assert conn.closed
    with context.database.reusable_session() as new:
        assert new is not conn


def test_late_cancel_costs_only_the_session(context: Context):
    with context.database.reusable_session() as conn, conn.cursor() as cursor:
        begin_snapshot(conn)
        cursor.execute("SELECT 1")
        kill_connections(context)  # ends the transaction like a late cancel, and is never too late
    assert conn.closed
    with context.database.reusable_session() as new, new.cursor() as cursor:
        cursor.execute("SELECT 1 AS one")
        assert cursor.fetchone() == {"one": 1}


def test_session_that_cannot_release_its_lock_is_closed(context: Context):
    with context.database.reusable_session() as conn:
        with lock.held_for_session(conn, 5) as held:
            assert held
            conn.autocommit = False
            with conn.cursor() as cursor, pytest.raises(psycopg2.errors.DivisionByZero):
                cursor.execute("SELECT 1 / 0")
        assert conn.closed  # it could not unlock: the transaction is broken
    with other_session(context) as other:
        wait_until(lambda: queries("advisory_lock").try_session_lock(other, key=5), "the lock is free")


def test_sessions_have_no_statement_timeout(context: Context, database_name: str):
    execute(context, f"ALTER DATABASE {database_name} SET statement_timeout = '1s'")
    for opened in (context.database.session, context.database.reusable_session):
        with opened() as conn, conn.cursor() as cursor:
            cursor.execute("SHOW statement_timeout")
            assert cursor.fetchone() == {"statement_timeout": "0"}


def test_invalid_url_is_refused_without_showing_its_password(context: Context):
    wrong = context_with(context, database_url="postgresql://user:ge%heim@host/x")
    with pytest.raises(SettingsError, match="The database's URL cannot be read") as stopped:
        execute(wrong, "SELECT 1")
    assert "heim" not in stopped.value.text


def test_transaction_fails_after_a_wait_when_the_pool_is_used_up(context: Context, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("contactexport.db.connection.REUSABLE_CONNECTIONS", 1)
    monkeypatch.setattr("contactexport.db.connection.MAX_CONNECTIONS", 1)
    monkeypatch.setattr("contactexport.db.connection.WAIT_SECONDS", 0.1)
    narrow = context_with(context)
    told = "All 1 database connections of this process are in use"
    with narrow.database.transaction(), pytest.raises(DatabaseUnavailable, match=told):
        execute(narrow, "SELECT 1 AS one")
    assert execute(narrow, "SELECT 1 AS one") == [{"one": 1}]
    narrow.database.close()


def test_error_without_text_is_a_lost_connection():
    with pytest.raises(DatabaseUnavailable, match="does not answer: connection lost"), translated_errors():
        raise psycopg2.OperationalError


def test_forked_child_does_not_share_connections(context: Context):
    assert subprocess.run([sys.executable, "-c", FORK, context.database.url], check=False).returncode == 0


def test_close_may_come_twice_or_before_use(context: Context):
    unused = context_with(context)
    unused.database.close()
    unused.database.close()
    assert execute(unused, "SELECT 1 AS one") == [{"one": 1}]
    unused.database.close()


def test_transaction_lock_waits_as_long_as_requested(context: Context):
    with context.database.session() as holder, holder.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_lock(5)")
        with context.database.transaction() as conn, pytest.raises(ExportAlreadyRunning):
            lock.require_for_transaction(conn, 5, wait_seconds=0.05)
        with context.database.transaction() as conn, pytest.raises(ExportAlreadyRunning):
            lock.require_for_transaction(conn, 5, wait_seconds=0)
        release = threading.Timer(0.1, queries("advisory_lock").unlock_session, (holder,), {"key": 5})
        release.start()
        with context.database.transaction() as conn:
            lock.require_for_transaction(conn, 5, wait_seconds=30)
        release.join()

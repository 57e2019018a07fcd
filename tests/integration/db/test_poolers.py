"""A pooler in session mode works like Postgres itself. One that shares server processes is refused at the start."""

import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress

import psycopg2
import pytest

from contactexport import readiness
from contactexport.context import Context
from contactexport.db import pooler
from contactexport.db.connection import Database
from contactexport.embedded import sample_contacts
from contactexport.embedded.local_service import PROJECT, LocalService
from contactexport.errors import DatabaseUnavailable, PoolerRefused
from tests.support.exporting import (
    START,
    around_now,
    contact_changed,
    context_with,
    execute,
    request,
    run,
    settings_for,
)
from tests.support.pgbouncers import needs_pgbouncer, pgbouncer
from tests.support.served import free_port

SHARED = ["transaction", "statement"]
REFUSAL = "leads to a pooler (such as PgBouncer) in transaction or statement mode"


def service(context: Context, url: str) -> LocalService:
    return LocalService(context.settings.data_dir, free_port(), {"DATABASE_URL": url, "ENV": "testing"})


def ended(context: Context, url: str, command: list[str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", *command],
        cwd=PROJECT, env=service(context, url).environment(), capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip


@needs_pgbouncer
@pytest.mark.parametrize("pool_size", [6, 20])
def test_export_runs_through_session_mode(context: Context, pool_size):
    sample_contacts.generate(context.contacts, 2000)
    with pgbouncer(context.database.url, "session", pool_size) as url:
        pooled = context_with(context, database_url=url)
        assert readiness.check(pooled) == readiness.check(context)
        export = run(pooled, request(pooled, settings_for()))
        assert (export.status, export.error) == ("done", None)
        assert export.rows > 100
        direct = run(context, request(context, settings_for()))
        assert (direct.rows, direct.sha256) == (export.rows, export.sha256)
        pooled.database.close()


@needs_pgbouncer
def test_several_sessions_read_one_export_through_session_mode(context: Context):
    sample_contacts.generate(context.contacts, 60_000)
    with pgbouncer(context.database.url, "session") as url:
        pooled = context_with(context, database_url=url, parallel_readers=3)
        window = {"start": START.replace(year=2011), "end": around_now()["end"]}
        everything = settings_for(origin="all", origin_ids=(), **window)
        export = run(pooled, request(pooled, everything))
        assert (export.status, export.rows) == ("done", 60_000)
        pooled.database.close()


@needs_pgbouncer
def test_whole_service_runs_through_session_mode(context: Context):
    contact_changed(context)
    with pgbouncer(context.database.url, "session", 50) as url:
        pooled = service(context, url)
        assert "unchanged" in pooled.flask("db", "upgrade")
        shown = pooled.flask(
            *("export", "changes", "--origin", "form", "--origin-id", "123", "--from", "2012-02-09"),
            *("--to", "2012-04-02", "--fields", "1,3"),
        )
        assert "status: done" in shown
        with pooled.serving():
            assert pooled.call("GET", "/readyz", "")[0] == 200


@needs_pgbouncer
@pytest.mark.parametrize("mode", SHARED)
@pytest.mark.parametrize("pool_size", [1, 2, 20])
@pytest.mark.parametrize("round_robin", [0, 1], ids=["last used first", "round robin"])
def test_shared_processes_are_refused_with_any_pool_size(context: Context, mode, pool_size, round_robin):
    with pgbouncer(context.database.url, mode, pool_size, server_round_robin=round_robin) as url:
        warm(url, pool_size)
        database = Database(lambda: url)
        for way in (database.session, database.transaction, database.autocommit, database.reusable_session):
            with pytest.raises(PoolerRefused, match="transaction or statement mode"), way():
                pass
        with closing(psycopg2.connect(url)) as stranger, stranger.cursor() as cursor:
            stranger.autocommit = True
            cursor.execute("SELECT current_setting('row_security'), current_setting('statement_timeout')")
            assert cursor.fetchone() == ("on", "0")  # none of our settings stays with a process that others get


@needs_pgbouncer
def test_shared_processes_are_refused_while_others_use_the_pool(context: Context):
    with pgbouncer(context.database.url, "transaction", 5) as url:
        enough = threading.Event()
        with ThreadPoolExecutor(4) as others:
            for _ in range(4):
                others.submit(keep_busy, url, enough)
            try:
                for _ in range(20):
                    with pytest.raises(PoolerRefused), Database(lambda: url).session():
                        pass
            finally:
                enough.set()


@needs_pgbouncer
def test_session_mode_is_accepted_while_others_use_the_pool(context: Context):
    with pgbouncer(context.database.url, "session", 8) as url:
        enough = threading.Event()
        with ThreadPoolExecutor(4) as others:
            for _ in range(4):
                others.submit(come_and_go, url, enough)
            try:
                for _ in range(20):
                    with Database(lambda: url).session() as conn:
                        assert not conn.closed
            finally:
                enough.set()


@needs_pgbouncer
def test_too_small_pool_is_refused_after_a_wait(context: Context, monkeypatch):
    monkeypatch.setattr(pooler, "WAIT_SECONDS", 1)
    with (
        pgbouncer(context.database.url, "session", 1) as url,
        pytest.raises(DatabaseUnavailable, match="no second connection within 1 seconds: its pool is too small"),
        Database(lambda: url).session(),
    ):
        pass


@needs_pgbouncer
@pytest.mark.parametrize("mode", SHARED)
def test_server_worker_and_commands_refuse_a_pooler_in_one_line(context: Context, mode):
    with pgbouncer(context.database.url, mode, 2) as url:
        for command in (
            ["gunicorn", "--config", "config/gunicorn.py", "--bind", f"127.0.0.1:{free_port()}", "wsgi:app"],
            ["celery", "--quiet", "--app", "celery_worker", "worker", "--loglevel", "WARNING"],
            ["flask", "serve", "--port", str(free_port())],
            ["flask", "db", "upgrade"],
            ["flask", "users", "list"],
            ["flask", "contacts", "sample", "--contacts", "1"],
        ):
            done = ended(context, url, command)
            said = [line for line in done.stderr.splitlines() if "superuser" not in line and line.strip()]
            assert done.returncode != 0, command
            assert [line for line in said if REFUSAL in line] == said[-1:], (command, done.stderr)
            assert "Traceback" not in done.stderr


def test_connection_options_in_the_url_take_precedence(context: Context):
    said = "&application_name=bill&options=-c%20work_mem%3D7MB%20-c%20DateStyle%3DGerman&connect_timeout=3"
    named = context_with(context, database_url=context.database.url + said)
    found = execute(named, "SELECT current_setting('application_name') AS name, current_setting('work_mem') AS memory,"
                           " current_setting('DateStyle') AS dates")  # fmt: skip
    assert found == [{"name": "bill", "memory": "7MB", "dates": "ISO, YMD"}]
    with named.database.session() as conn:
        assert conn.info.dsn_parameters["connect_timeout"] == "3"
    with context.database.session() as conn:
        assert conn.info.dsn_parameters["connect_timeout"] == "5"
    named.database.close()


def warm(url: str, processes: int) -> None:
    """Makes the pool start all its processes."""
    with suppress(psycopg2.Error):  # statement mode accepts no transactions, so it starts few processes
        opened = []
        try:
            for _ in range(processes):
                opened.append(psycopg2.connect(url))
                opened[-1].cursor().execute("SELECT 1")
        finally:
            for one in opened:
                one.close()


def keep_busy(url: str, enough: threading.Event) -> None:
    with closing(psycopg2.connect(url)) as conn, conn.cursor() as cursor:
        conn.autocommit = True
        while not enough.is_set():
            cursor.execute("SELECT pg_sleep(random() / 500)")


def come_and_go(url: str, enough: threading.Event) -> None:
    while not enough.is_set():
        with closing(psycopg2.connect(url)) as conn, conn.cursor() as cursor:
            cursor.execute("SELECT 1")

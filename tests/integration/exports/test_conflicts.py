"""Conflicts of transactions: a role that is serializable by default causes none, and others are retried."""

import threading
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path

import psycopg2
import pytest
from psycopg2 import sql

from contactexport.changes import prune
from contactexport.contact_import import run as import_contacts
from contactexport.context import Context
from contactexport.db import migrate
from contactexport.db.connection import begin_snapshot
from contactexport.errors import ContactExportError, DatabaseConflict
from contactexport.exports import accept as accepting
from contactexport.exports import cancel, sweep
from contactexport.users import manage
from tests.support.contexts import make_context
from tests.support.empty_databases import empty_database
from tests.support.exporting import (
    TESTER,
    add_contact,
    contact_changed,
    execute,
    make_due,
    other_session,
    request,
    row_of,
    run,
    settings_for,
)

RAISING = """
CREATE FUNCTION public.in_conflict() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'could not serialize access, said of anna@example.com' USING ERRCODE = '{}';
END $$;
CREATE TRIGGER conflict BEFORE {} FOR EACH ROW {} EXECUTE FUNCTION public.in_conflict();
"""
ALL = ["--origin", "all", "--from", "2012-02-09", "--to", "2012-04-02", "--fields", "1"]
BOTH = pytest.mark.parametrize("code", ["40001", "40P01"])


@pytest.fixture
def serializable(context: Context, tmp_path: Path) -> Iterator[Context]:
    """The same database, used by a role whose transactions are serializable by default."""
    name = f"serializable_{uuid.uuid4().hex[:8]}"
    role = sql.Identifier(name)
    execute(context, sql.SQL("CREATE ROLE {} LOGIN SUPERUSER").format(role))
    execute(context, sql.SQL("ALTER ROLE {} SET default_transaction_isolation = serializable").format(role))
    url = psycopg2.extensions.parse_dsn(context.database.url)
    made = make_context(f"postgresql://{name}@/{url['dbname']}?host={url['host']}", tmp_path / "serializable")
    yield made
    made.database.close()
    execute(context, sql.SQL("REASSIGN OWNED BY {} TO CURRENT_USER").format(role))
    execute(context, sql.SQL("DROP ROLE {}").format(role))


def test_sessions_are_read_committed_although_the_role_is_serializable(serializable: Context):
    with other_session(serializable) as other, other.cursor() as cursor:
        cursor.execute("SHOW transaction_isolation")
        assert cursor.fetchone() == ("serializable",)
    database = serializable.database
    for opened in (database.transaction, database.autocommit, database.session, database.reusable_session):
        with opened() as conn:
            assert isolation(conn) == "read committed"


def test_session_returns_to_read_committed_after_a_snapshot(serializable: Context):
    """Without help psycopg2 would return it to the isolation level of the role."""
    with serializable.database.reusable_session() as conn:
        begin_snapshot(conn)
        assert isolation(conn) == "repeatable read"
        pid = conn.info.backend_pid
    with serializable.database.reusable_session() as conn:
        assert conn.info.backend_pid == pid
        assert isolation(conn) == "read committed"
        conn.autocommit = False
        assert isolation(conn) == "read committed"


def imported(context: Context, file: Path) -> None:
    with file.open("rb") as content:
        order = import_contacts.ImportOrder("form", 123, delimiter=";")
        import_contacts.import_contacts(context.contacts, content, order, lambda *_: None)


def isolation(conn) -> str:
    with conn.cursor() as cursor:
        cursor.execute("SHOW transaction_isolation")
        return cursor.fetchone()["transaction_isolation"]


def test_concurrent_work_by_serializable_role_never_conflicts(serializable: Context, tmp_path: Path):
    for number in range(20):
        contact_changed(serializable, first_name=f"Anna {number}")

    def work(number: int) -> str:
        for round_ in range(6):
            done = run(serializable, request(serializable, settings_for(origin_ids=(123, 1000 + number * 10 + round_))))
            assert (done.status, done.attempt, done.rows) == ("done", 1, 20)
            ended = accepting.store(serializable, settings_for(origin_ids=(2000 + number,)), None, "cli:tester")
            cancel.cancel(serializable, ended, TESTER)
            manage.add_user(serializable, f"user{number}-{round_}", with_wsse=True, with_token=True)
            sweep.sweep(serializable)
            lines = "".join(f"mail{number}-{line}@example.com;Zoë {round_}\n" for line in range(20))
            file = tmp_path / f"{number}.csv"
            file.write_text(f"3;1\n{lines}")
            imported(serializable, file)
        return "all done"

    with ThreadPoolExecutor(6) as threads:
        assert list(threads.map(work, range(6))) == ["all done"] * 6
    assert execute(serializable, "SELECT status, count(*) FROM export GROUP BY 1 ORDER BY 1") == [
        {"status": "done", "count": 36}, {"status": "error", "count": 36},
    ]  # fmt: skip


def test_serializable_role_upgrades_schema_twice_at_once(serializable: Context):
    with empty_database(serializable, "upgraded_by_serializable") as empty, ThreadPoolExecutor(2) as threads:
        found = list(threads.map(lambda _: migrate.upgrade(empty.database), range(2)))
        migrate.check(empty.database)
        newest = found[0][1]
    assert sorted(found, key=str) == sorted([(None, newest), (newest, newest)], key=str)


def test_serializable_role_prunes_month_while_contacts_change(serializable: Context):
    contact_changed(serializable)
    execute(serializable, "SELECT contact_change_months('2012-02-01', '2012-04-01')")
    before = datetime(2012, 3, 1, tzinfo=UTC)
    with ThreadPoolExecutor(4) as threads:
        changing = [threads.submit(add_contact, serializable, first_name="Anna") for _ in range(40)]
        pruned = threads.submit(lambda: list(prune.prune(serializable, before, 5)))
        assert len({one.result() for one in changing}) == 40
        pruned.result()


def test_deadlock_is_a_conflict_for_one_session_and_the_other_continues(context: Context):
    execute(context, "CREATE TABLE two (id integer PRIMARY KEY, n integer); INSERT INTO two VALUES (1, 0), (2, 0)")
    both_hold_one = threading.Barrier(2)

    def work(first: int, second: int) -> str:
        try:
            with context.database.transaction() as conn, conn.cursor() as cursor:
                cursor.execute("UPDATE two SET n = n + 1 WHERE id = %s", (first,))
                both_hold_one.wait()
                cursor.execute("UPDATE two SET n = n + 1 WHERE id = %s", (second,))
        except DatabaseConflict as conflict:
            return conflict.text
        return "done"

    with ThreadPoolExecutor(2) as threads:
        told = sorted(threads.map(work, (1, 2), (2, 1)))
    assert told == ["The database broke off a transaction in conflict with another: deadlock detected", "done"]
    assert execute(context, "SELECT n FROM two") == [{"n": 1}, {"n": 1}]


def test_write_to_row_changed_after_the_snapshot_is_a_conflict(context: Context):
    execute(context, "CREATE TABLE one (n integer); INSERT INTO one VALUES (0)")

    def work() -> None:
        with context.database.transaction() as conn, conn.cursor() as cursor:
            cursor.execute("SET TRANSACTION ISOLATION LEVEL SERIALIZABLE")
            cursor.execute("SELECT n FROM one")
            execute(context, "UPDATE one SET n = 1")
            cursor.execute("UPDATE one SET n = 2")

    with pytest.raises(DatabaseConflict, match=r"could not serialize access due to concurrent update$"):
        work()


@BOTH
def test_api_answers_conflict_with_503_and_retry_after(context: Context, api, caplog, code: str):
    execute(context, RAISING.format(code, "INSERT ON export", ""))
    body = {
        "distribution_method": "local",
        "time_range": ["2012-02-09", "2012-04-02"],
        "origin": "all",
        "contact_fields": [1],
    }
    answer = api.post("/api/v2/contact/getchanges", json=body)
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "1")
    assert answer.json == {
        "replyCode": 1, "replyText": "The service is not available now. Please try again later.", "data": "",
    }  # fmt: skip
    assert "in conflict with another" in caplog.text
    execute(context, "DROP TRIGGER conflict ON export")
    assert api.post("/api/v2/contact/getchanges", json=body).status_code == 200


@BOTH
@pytest.mark.parametrize("status", ["ready", "done"])
def test_run_in_conflict_is_postponed_and_not_counted(context: Context, code: str, status: str):
    export_id = request(context, settings_for())
    execute(context, RAISING.format(code, "UPDATE ON export", f"WHEN (NEW.status = '{status}')"))
    if status == "ready":
        put_off = run(context, export_id)
        assert (put_off.status, put_off.run_attempts) == ("in progress", 0)
        assert put_off.error == "The database broke off a transaction that was in conflict with another"
    else:  # postponing it conflicts too: the sweep finds the export when it is due
        execute(context, "DROP TRIGGER conflict ON export; DROP FUNCTION in_conflict")
        execute(context, RAISING.format(code, "UPDATE ON export", "WHEN (OLD.status = 'ready')"))
        with pytest.raises(DatabaseConflict):
            run(context, export_id)
        assert row_of(context, export_id)["status"] == "ready"
    execute(context, "DROP TRIGGER conflict ON export")
    make_due(context, export_id)
    assert run(context, export_id).status == "done"


@BOTH
def test_conflict_while_reading_is_postponed_and_not_counted(context: Context, code: str):
    """For example the replay of a standby, which ends queries with 40001."""
    contact_changed(context, first_name="Anna")
    execute(context, f"""
        CREATE FUNCTION in_conflict() RETURNS text LANGUAGE plpgsql AS $$
        BEGIN RAISE EXCEPTION 'canceling statement due to conflict with recovery' USING ERRCODE = '{code}'; END $$;
        ALTER TABLE contact RENAME TO people;
        CREATE VIEW contact AS SELECT p.id, p.origin_kind, p.origin_id, public.in_conflict() AS first_name, p.email
        FROM people AS p
    """)  # fmt: skip
    export_id = request(context, settings_for())
    for attempt in range(1, 8):  # more often than the limit of counted attempts
        put_off = run(context, export_id)
        assert (put_off.status, put_off.attempt, put_off.run_attempts) == ("in progress", attempt, 0)
        assert put_off.error == "The database broke off a transaction that was in conflict with another"
        make_due(context, export_id)
    execute(context, "DROP VIEW contact; ALTER TABLE people RENAME TO contact")
    assert run(context, export_id).status == "done"


@BOTH
@pytest.mark.parametrize(
    "table,command",
    [
        ("api_user", ["users", "add", "anna", "--token"]),
        ("export", ["export", "changes", *ALL]),
    ],
)
def test_command_reports_conflict_in_one_line(context: Context, runner, code: str, table: str, command: list[str]):
    execute(context, RAISING.format(code, f"INSERT ON {table}", ""))
    ended = runner.invoke(args=command)
    assert ended.exit_code == 1
    (line,) = [line for line in ended.stderr.splitlines() if line.startswith("Error: ")]
    assert line.startswith("Error: The database broke off a transaction in conflict with another: could not serialize")
    assert "Traceback" not in ended.stderr


@BOTH
def test_import_reports_conflict_in_one_line(context: Context, tmp_path: Path, code: str):
    execute(context, RAISING.format(code, "INSERT ON contact", ""))
    file = tmp_path / "contacts.csv"
    file.write_text("3;1\nzoe@example.com;Zoë\n")
    with pytest.raises(ContactExportError, match=r"^The database broke off a transaction in conflict with another: "):
        imported(context, file)
    assert execute(context, "SELECT count(*) FROM contact") == [{"count": 0}]

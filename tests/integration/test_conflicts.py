"""Transactions in conflict: none by a role that is serializable by default, and those that come are tried again."""

import threading
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path

import psycopg2
import pytest
from backends import make_backend
from empty_databases import empty_database
from exporting import (
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
from psycopg2 import sql

from contactexport.backend import Backend
from contactexport.db import migrate
from contactexport.db.connection import begin_snapshot
from contactexport.errors import ContactExportError, DatabaseConflict
from contactexport.services import cancel_export, import_contacts, manage_users, prune_changes, sweep_exports
from contactexport.services import request_export as accepting

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
def serializable(backend: Backend, tmp_path: Path) -> Iterator[Backend]:
    """The same database by a role whose transactions are serializable unless they say otherwise."""
    name = f"serializable_{uuid.uuid4().hex[:8]}"
    role = sql.Identifier(name)
    execute(backend, sql.SQL("CREATE ROLE {} LOGIN SUPERUSER").format(role))
    execute(backend, sql.SQL("ALTER ROLE {} SET default_transaction_isolation = serializable").format(role))
    url = psycopg2.extensions.parse_dsn(backend.database.url)
    made = make_backend(f"postgresql://{name}@/{url['dbname']}?host={url['host']}", tmp_path / "serializable")
    yield made
    made.database.close()
    execute(backend, sql.SQL("REASSIGN OWNED BY {} TO CURRENT_USER").format(role))
    execute(backend, sql.SQL("DROP ROLE {}").format(role))


def test_the_role_is_serializable_and_our_sessions_are_not(serializable: Backend):
    with other_session(serializable) as other, other.cursor() as cursor:
        cursor.execute("SHOW transaction_isolation")
        assert cursor.fetchone() == ("serializable",)
    database = serializable.database
    for opened in (database.transaction, database.autocommit, database.session, database.kept_session):
        with opened() as conn:
            assert isolation(conn) == "read committed"


def test_a_session_that_has_read_a_snapshot_is_as_it_was(serializable: Backend):
    """psycopg2 would give it the role's own isolation again."""
    with serializable.database.kept_session() as conn:
        begin_snapshot(conn)
        assert isolation(conn) == "repeatable read"
        pid = conn.info.backend_pid
    with serializable.database.kept_session() as conn:
        assert conn.info.backend_pid == pid
        assert isolation(conn) == "read committed"
        conn.autocommit = False
        assert isolation(conn) == "read committed"


def imported(backend: Backend, file: Path) -> None:
    with file.open("rb") as content:
        order = import_contacts.ImportOrder("form", 123, delimiter=";")
        import_contacts.import_contacts(backend.contacts, content, order, lambda *_: None)


def isolation(conn) -> str:
    with conn.cursor() as cursor:
        cursor.execute("SHOW transaction_isolation")
        return cursor.fetchone()["transaction_isolation"]


def test_everything_at_once_by_such_a_role_fails_nowhere(serializable: Backend, tmp_path: Path):
    for number in range(20):
        contact_changed(serializable, first_name=f"Anna {number}")

    def work(number: int) -> str:
        for round_ in range(6):
            done = run(serializable, request(serializable, settings_for(origin_ids=(123, 1000 + number * 10 + round_))))
            assert (done.status, done.attempt, done.rows) == ("done", 1, 20)
            ended = accepting.store(serializable, settings_for(origin_ids=(2000 + number,)), None, "cli:tester")
            cancel_export.cancel(serializable, ended, TESTER)
            manage_users.add_user(serializable, f"user{number}-{round_}", with_wsse=True, with_token=True)
            sweep_exports.sweep(serializable)
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


def test_the_schema_is_upgraded_by_such_a_role_and_twice_at_once(serializable: Backend):
    with empty_database(serializable, "upgraded_by_serializable") as empty, ThreadPoolExecutor(2) as threads:
        found = list(threads.map(lambda _: migrate.upgrade(empty.database), range(2)))
        migrate.check(empty.database)
        newest = found[0][1]
    assert sorted(found, key=str) == sorted([(None, newest), (newest, newest)], key=str)


def test_a_month_is_pruned_by_such_a_role_while_contacts_change(serializable: Backend):
    contact_changed(serializable)
    execute(serializable, "SELECT contact_change_months('2012-02-01', '2012-04-01')")
    before = datetime(2012, 3, 1, tzinfo=UTC)
    with ThreadPoolExecutor(4) as threads:
        changing = [threads.submit(add_contact, serializable, first_name="Anna") for _ in range(40)]
        pruned = threads.submit(lambda: list(prune_changes.prune(serializable, before, 5)))
        assert len({one.result() for one in changing}) == 40
        pruned.result()


def test_a_deadlock_between_two_sessions_is_a_conflict_and_the_other_one_goes_on(backend: Backend):
    execute(backend, "CREATE TABLE two (id integer PRIMARY KEY, n integer); INSERT INTO two VALUES (1, 0), (2, 0)")
    both_hold_one = threading.Barrier(2)

    def work(first: int, second: int) -> str:
        try:
            with backend.database.transaction() as conn, conn.cursor() as cursor:
                cursor.execute("UPDATE two SET n = n + 1 WHERE id = %s", (first,))
                both_hold_one.wait()
                cursor.execute("UPDATE two SET n = n + 1 WHERE id = %s", (second,))
        except DatabaseConflict as conflict:
            return conflict.text
        return "done"

    with ThreadPoolExecutor(2) as threads:
        told = sorted(threads.map(work, (1, 2), (2, 1)))
    assert told == ["The database broke off a transaction in conflict with another: deadlock detected", "done"]
    assert execute(backend, "SELECT n FROM two") == [{"n": 1}, {"n": 1}]


def test_a_write_behind_a_snapshot_is_a_conflict(backend: Backend):
    execute(backend, "CREATE TABLE one (n integer); INSERT INTO one VALUES (0)")

    def work() -> None:
        with backend.database.transaction() as conn, conn.cursor() as cursor:
            cursor.execute("SET TRANSACTION ISOLATION LEVEL SERIALIZABLE")
            cursor.execute("SELECT n FROM one")
            execute(backend, "UPDATE one SET n = 1")
            cursor.execute("UPDATE one SET n = 2")

    with pytest.raises(DatabaseConflict, match=r"could not serialize access due to concurrent update$"):
        work()


@BOTH
def test_the_api_answers_503_and_when_to_come_again(backend: Backend, api, caplog, code: str):
    execute(backend, RAISING.format(code, "INSERT ON export", ""))
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
    execute(backend, "DROP TRIGGER conflict ON export")
    assert api.post("/api/v2/contact/getchanges", json=body).status_code == 200


@BOTH
@pytest.mark.parametrize("status", ["ready", "done"])
def test_a_run_in_conflict_is_put_off_and_not_counted(backend: Backend, code: str, status: str):
    export_id = request(backend, settings_for())
    execute(backend, RAISING.format(code, "UPDATE ON export", f"WHEN (NEW.status = '{status}')"))
    if status == "ready":
        put_off = run(backend, export_id)
        assert (put_off.status, put_off.run_attempts) == ("in progress", 0)
        assert put_off.error == "The database broke off a transaction that was in conflict with another"
    else:  # even the putting off is in conflict: the sweep takes it up once its time has come
        execute(backend, "DROP TRIGGER conflict ON export; DROP FUNCTION in_conflict")
        execute(backend, RAISING.format(code, "UPDATE ON export", "WHEN (OLD.status = 'ready')"))
        with pytest.raises(DatabaseConflict):
            run(backend, export_id)
        assert row_of(backend, export_id)["status"] == "ready"
    execute(backend, "DROP TRIGGER conflict ON export")
    make_due(backend, export_id)
    assert run(backend, export_id).status == "done"


@BOTH
def test_reading_in_conflict_is_put_off_and_not_counted(backend: Backend, code: str):
    """As by the replay of a standby, which ends queries with 40001."""
    contact_changed(backend, first_name="Anna")
    execute(backend, f"""
        CREATE FUNCTION in_conflict() RETURNS text LANGUAGE plpgsql AS $$
        BEGIN RAISE EXCEPTION 'canceling statement due to conflict with recovery' USING ERRCODE = '{code}'; END $$;
        ALTER TABLE contact RENAME TO people;
        CREATE VIEW contact AS SELECT p.id, p.origin_kind, p.origin_id, public.in_conflict() AS first_name, p.email
        FROM people AS p
    """)  # fmt: skip
    export_id = request(backend, settings_for())
    for attempt in range(1, 8):  # more often than attempts that count
        put_off = run(backend, export_id)
        assert (put_off.status, put_off.attempt, put_off.run_attempts) == ("in progress", attempt, 0)
        assert put_off.error == "The database broke off a transaction that was in conflict with another"
        make_due(backend, export_id)
    execute(backend, "DROP VIEW contact; ALTER TABLE people RENAME TO contact")
    assert run(backend, export_id).status == "done"


@BOTH
@pytest.mark.parametrize(
    "table,command",
    [
        ("api_user", ["users", "add", "anna", "--token"]),
        ("export", ["export", "changes", *ALL]),
    ],
)
def test_a_command_says_it_in_one_line(backend: Backend, runner, code: str, table: str, command: list[str]):
    execute(backend, RAISING.format(code, f"INSERT ON {table}", ""))
    ended = runner.invoke(args=command)
    assert ended.exit_code == 1
    (line,) = [line for line in ended.stderr.splitlines() if line.startswith("Error: ")]
    assert line.startswith("Error: The database broke off a transaction in conflict with another: could not serialize")
    assert "Traceback" not in ended.stderr


@BOTH
def test_an_import_says_it_in_one_line(backend: Backend, tmp_path: Path, code: str):
    execute(backend, RAISING.format(code, "INSERT ON contact", ""))
    file = tmp_path / "contacts.csv"
    file.write_text("3;1\nzoe@example.com;Zoë\n")
    with pytest.raises(ContactExportError, match=r"^The database broke off a transaction in conflict with another: "):
        imported(backend, file)
    assert execute(backend, "SELECT count(*) FROM contact") == [{"count": 0}]

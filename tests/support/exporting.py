"""Contacts, changes, requests and runs for the tests of exports."""

import dataclasses
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg2
import pytest
from psycopg2 import sql
from psycopg2.extensions import connection

import contactexport
from contactexport.context import Context
from contactexport.exports import accept, deliver
from contactexport.exports import run as run_export
from contactexport.exports.models import Export, ExportSettings, FtpTarget
from contactexport.queue.publisher import message_folders
from contactexport.users.models import Caller

START = datetime(2012, 2, 9, tzinfo=UTC)
END = datetime(2012, 4, 2, tzinfo=UTC)
PASSWORD = "geheim§1"
TESTER = Caller("tester", operator=True)
# A request body with only the required parameters.
REQUIRED_ONLY = {
    "distribution_method": "local",
    "time_range": ["2012-02-09", "2012-04-02"],
    "origin": "form",
    "origin_id": "123",
    "contact_fields": ["1", "3"],
}


def context_with(context: Context, **settings: Any) -> Context:
    """The same databases and folders with other settings."""
    return contactexport.make_context(dataclasses.replace(context.settings, **settings))


def with_wait(context: Context, seconds: float) -> Context:
    """The same, with a wait for writers of at most so many seconds."""
    return dataclasses.replace(context, settings=dataclasses.replace(context.settings, writers_wait=seconds))


def settings_for(**changes: Any) -> ExportSettings:
    """A local export of form 123 with first name and e-mail, and with these changes."""
    values: dict[str, Any] = {
        "distribution_method": "local",
        "origin": "form",
        "origin_ids": (123,),
        "start": START,
        "end": END,
        "contact_fields": (1, 3),
        "delimiter": ",",
        "header": False,
        "language": "en",
    }
    return ExportSettings(**values | changes)


def by_ftp(port: int, folder: str | None = "path/of/a/folder", username: str = "user") -> ExportSettings:
    return settings_for(distribution_method="ftp", ftp=FtpTarget("127.0.0.1", port, username, folder))


def around_now() -> dict[str, datetime]:
    """A window that contains the changes made during a test."""
    now = datetime.now(UTC)
    return {"start": now - timedelta(hours=1), "end": now + timedelta(hours=1)}


def database_time(context: Context) -> datetime:
    return execute(context, "SELECT clock_timestamp() AS now")[0]["now"]


def execute(context: Context, statement: str | sql.Composable, parameters: Any = None) -> list[dict[str, Any]]:
    with context.database.transaction() as conn, conn.cursor() as cursor:
        cursor.execute(statement, parameters)
        return [dict(row) for row in cursor.fetchall()] if cursor.description else []


def add_contact(context: Context, **columns: Any) -> int:
    """Adds a contact, by default of form 123. The triggers log it."""
    values = {"origin_kind": "form", "origin_id": 123} | columns
    statement = sql.SQL("INSERT INTO contact ({}) VALUES ({}) RETURNING id").format(
        sql.SQL(", ").join(map(sql.Identifier, values)), sql.SQL(", ").join(map(sql.Placeholder, values))
    )
    return execute(context, statement, values)[0]["id"]


def change(context: Context, contact_id: int, at: datetime, kind: str = "form", origin_id: int = 123) -> None:
    """Writes a change of the contact at that time into the log."""
    execute(
        context,
        "INSERT INTO contact_change (contact_id, origin_kind, origin_id, changed_at) VALUES (%s, %s, %s, %s)",
        (contact_id, kind, origin_id, at),
    )


def contact_changed(context: Context, at: datetime = START, **columns: Any) -> int:
    """Adds a contact with one logged change at that time. Its insertion is logged too, with the time now."""
    contact_id = add_contact(context, **columns)
    change(context, contact_id, at, columns.get("origin_kind", "form"), columns.get("origin_id", 123))
    return contact_id


def request(context: Context, settings: ExportSettings, password: str | None = None) -> int:
    if settings.ftp is not None and password is None:
        password = PASSWORD
    return accept.request(context, settings, password, TESTER)


def run(context: Context, export_id: int) -> Export:
    export = run_export.run(context, export_id)
    assert export is not None, "nothing to do"
    return export


def export_file(context: Context, settings: ExportSettings) -> bytes:
    """Requests and runs an export. Returns its file."""
    export = run(context, request(context, settings))
    assert export.status == "done", export.error
    return deliver.stored_file(context, export).read_bytes()


def exported_ids(context: Context, settings: ExportSettings) -> list[int]:
    return [int(line.split(b",")[0]) for line in export_file(context, settings).splitlines()]


def ids_in(context: Context, export: Export) -> list[int]:
    """The ids of the contacts in the file of an export."""
    lines = deliver.stored_file(context, export).read_bytes().splitlines()
    return [int(line.split(b",")[0]) for line in lines]


def wait_until_waiting(context: Context) -> None:
    """Returns when an export waits for writers: its session looks for them again and again."""
    for _ in range(500):
        if execute(context, "SELECT pid FROM pg_stat_activity WHERE query ~ 'RowExclusiveLock' AND state = 'idle'"):
            return
        time.sleep(0.01)
    pytest.fail("the export does not wait")


def row_of(context: Context, export_id: int) -> dict[str, Any]:
    return execute(context, "SELECT * FROM export WHERE id = %s", (export_id,))[0]


def make_due(context: Context, export_id: int) -> None:
    execute(context, "UPDATE export SET due_at = clock_timestamp() WHERE id = %s", (export_id,))


def seconds_until_due(context: Context, export_id: int) -> float:
    return execute(
        context,
        "SELECT extract(epoch FROM due_at - clock_timestamp())::float AS s FROM export WHERE id = %s",
        (export_id,),
    )[0]["s"]


def messages(context: Context) -> list[Path]:
    folder = message_folders(context.settings.data_dir)[0]
    return sorted(folder.iterdir()) if folder.exists() else []


def lose_messages(context: Context) -> None:
    """Deletes all waiting messages, as if the broker had lost them."""
    for path in messages(context):
        path.unlink()


@contextmanager
def other_session(context: Context, *, autocommit: bool = True) -> Iterator[connection]:
    """A connection as any other program would open one."""
    conn = psycopg2.connect(context.database.url)
    conn.autocommit = autocommit
    try:
        yield conn
    finally:
        conn.close()

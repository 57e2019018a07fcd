"""Contacts, changes, requests and runs, as the tests of the export core need them."""

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
from contactexport.backend import Backend
from contactexport.export_queue import message_folders
from contactexport.models import Caller, Export, ExportSettings, FtpTarget
from contactexport.services import deliver_export, request_export, run_export

START = datetime(2012, 2, 9, tzinfo=UTC)
END = datetime(2012, 4, 2, tzinfo=UTC)
PASSWORD = "geheim§1"
TESTER = Caller("tester", operator=True)
# A request body with the required parameters only.
REQUIRED_ONLY = {
    "distribution_method": "local",
    "time_range": ["2012-02-09", "2012-04-02"],
    "origin": "form",
    "origin_id": "123",
    "contact_fields": ["1", "3"],
}


def backend_with(backend: Backend, **settings: Any) -> Backend:
    """The same databases and folders with other settings."""
    return contactexport.make_backend(dataclasses.replace(backend.settings, **settings))


def with_wait(backend: Backend, seconds: float) -> Backend:
    """The same, waiting so long for writers at most."""
    return dataclasses.replace(backend, settings=dataclasses.replace(backend.settings, writers_wait=seconds))


def settings_for(**changes: Any) -> ExportSettings:
    """A local export of form 123 with first name and e-mail, changed as told."""
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
    """A window that holds what is changed during a test."""
    now = datetime.now(UTC)
    return {"start": now - timedelta(hours=1), "end": now + timedelta(hours=1)}


def database_time(backend: Backend) -> datetime:
    return execute(backend, "SELECT clock_timestamp() AS now")[0]["now"]


def execute(backend: Backend, statement: str | sql.Composable, parameters: Any = None) -> list[dict[str, Any]]:
    with backend.database.transaction() as conn, conn.cursor() as cursor:
        cursor.execute(statement, parameters)
        return [dict(row) for row in cursor.fetchall()] if cursor.description else []


def add_contact(backend: Backend, **columns: Any) -> int:
    """Adds a contact of form 123 (unless told otherwise); the triggers log it."""
    values = {"origin_kind": "form", "origin_id": 123} | columns
    statement = sql.SQL("INSERT INTO contact ({}) VALUES ({}) RETURNING id").format(
        sql.SQL(", ").join(map(sql.Identifier, values)), sql.SQL(", ").join(map(sql.Placeholder, values))
    )
    return execute(backend, statement, values)[0]["id"]


def change(backend: Backend, contact_id: int, at: datetime, kind: str = "form", origin_id: int = 123) -> None:
    """Writes the log as if the contact had changed at that time."""
    execute(
        backend,
        "INSERT INTO contact_change (contact_id, origin_kind, origin_id, changed_at) VALUES (%s, %s, %s, %s)",
        (contact_id, kind, origin_id, at),
    )


def contact_changed(backend: Backend, at: datetime = START, **columns: Any) -> int:
    """A contact with one logged change at that time (and its insertion, logged now)."""
    contact_id = add_contact(backend, **columns)
    change(backend, contact_id, at, columns.get("origin_kind", "form"), columns.get("origin_id", 123))
    return contact_id


def request(backend: Backend, settings: ExportSettings, password: str | None = None) -> int:
    if settings.ftp is not None and password is None:
        password = PASSWORD
    return request_export.request(backend, settings, password, TESTER)


def run(backend: Backend, export_id: int) -> Export:
    export = run_export.run(backend, export_id)
    assert export is not None, "nothing to do"
    return export


def export_file(backend: Backend, settings: ExportSettings) -> bytes:
    """Requests and runs an export; returns its file."""
    export = run(backend, request(backend, settings))
    assert export.status == "done", export.error
    return deliver_export.stored_file(backend, export).read_bytes()


def exported_ids(backend: Backend, settings: ExportSettings) -> list[int]:
    return [int(line.split(b",")[0]) for line in export_file(backend, settings).splitlines()]


def ids_in(backend: Backend, export: Export) -> list[int]:
    """The contacts in the file of an export."""
    lines = deliver_export.stored_file(backend, export).read_bytes().splitlines()
    return [int(line.split(b",")[0]) for line in lines]


def wait_until_waiting(backend: Backend) -> None:
    """Until the export has begun to wait for writers: its session looks for them again and again."""
    for _ in range(500):
        if execute(backend, "SELECT pid FROM pg_stat_activity WHERE query ~ 'RowExclusiveLock' AND state = 'idle'"):
            return
        time.sleep(0.01)
    pytest.fail("the export does not wait")


def row_of(backend: Backend, export_id: int) -> dict[str, Any]:
    return execute(backend, "SELECT * FROM export WHERE id = %s", (export_id,))[0]


def make_due(backend: Backend, export_id: int) -> None:
    execute(backend, "UPDATE export SET due_at = clock_timestamp() WHERE id = %s", (export_id,))


def seconds_until_due(backend: Backend, export_id: int) -> float:
    return execute(
        backend,
        "SELECT extract(epoch FROM due_at - clock_timestamp())::float AS s FROM export WHERE id = %s",
        (export_id,),
    )[0]["s"]


def messages(backend: Backend) -> list[Path]:
    folder = message_folders(backend.settings.data_dir)[0]
    return sorted(folder.iterdir()) if folder.exists() else []


def lose_messages(backend: Backend) -> None:
    """As a broker may."""
    for path in messages(backend):
        path.unlink()


@contextmanager
def other_session(backend: Backend, *, autocommit: bool = True) -> Iterator[connection]:
    """A connection as any other program would open one."""
    conn = psycopg2.connect(backend.database.url)
    conn.autocommit = autocommit
    try:
        yield conn
    finally:
        conn.close()

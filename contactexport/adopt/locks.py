"""Locks tables of others against writers, without holding up whoever comes after."""

import time
from collections.abc import Iterable

from psycopg2.errors import LockNotAvailable

from contactexport.adopt.inspect import locked_for_too_long
from contactexport.adopt.view_text import TableName
from contactexport.db.connection import Connection
from contactexport.db.queries import queries, template

LOCK_SECONDS = 10
# Who waits for a lock holds up all who come after him. So each wait is short, and there are many.
LOCK_TRY = "200ms"
PAUSE_SECONDS = 0.1


def lock_tables(conn: Connection, tables: Iterable[TableName]) -> None:
    """Locks all of them. Raises ContactExportError that names one in use for 10 s, and by whom, with nothing done."""
    deadline = time.monotonic() + LOCK_SECONDS
    queries("adopt").limit_lock_wait(conn, wait=LOCK_TRY)
    ordered = sorted(tables)
    while (busy := _busy_table(conn, ordered)) is not None:
        if time.monotonic() > deadline:
            raise locked_for_too_long(conn, [queries("adopt").oid_of_table(conn, schema=busy.schema, name=busy.name)])
        time.sleep(PAUSE_SECONDS)
    queries("adopt").limit_lock_wait(conn, wait=f"{LOCK_SECONDS}s")


def _busy_table(conn: Connection, tables: list[TableName]) -> TableName | None:
    """The first table that cannot be locked now; then none is."""
    with conn.cursor() as cursor:
        cursor.execute("SAVEPOINT contactexport_locks")
        for table in tables:
            try:
                cursor.execute(template("adopt", "lock_table").format(table=table.identifier))
            except LockNotAvailable:
                cursor.execute("ROLLBACK TO SAVEPOINT contactexport_locks")
                return table
    return None

"""Logs every contact once, so that the first export has all of them."""

from collections.abc import Callable

from psycopg2 import sql

from contactexport.adopt.changed_rows import pairs_now
from contactexport.db.connection import Database
from contactexport.db.queries import queries, template

BATCH = 50_000
Progress = Callable[[str, int], None]


def no_progress(_what: str, _done: int) -> None:
    """Tells nobody."""


def log_all(contacts: Database, progress: Progress = no_progress, *, memberships: bool) -> int:
    """Logs the contacts as changed, in batches that are committed each; returns how many there are.

    `progress` is told after each batch how many were logged by then.
    """
    schema = sql.Identifier(contacts.schema)
    view = sql.Identifier(contacts.schema, "contact")
    pairs = pairs_now(contacts.schema, memberships=memberships)
    behind: sql.Composable = sql.SQL("true")
    logged = 0
    while True:
        statement = template("adopt", "log_all").format(
            schema=schema, view=view, pairs=pairs, behind=behind, most=sql.Literal(BATCH)
        )
        with contacts.transaction() as conn, conn.cursor() as cursor:
            cursor.execute(statement)
            found = cursor.fetchone()
        if not found["contacts"]:
            # Without this Postgres expects a log of a few rows, and looks up each contact by itself.
            with contacts.transaction() as conn:
                queries("adopt").analyze_log(conn)
            return logged
        logged += found["contacts"]
        progress("first export", logged)
        behind = sql.SQL("q.id > {}").format(sql.Literal(found["last"]))

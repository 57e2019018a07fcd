"""What an adoption that takes the place of another one changes: who is no contact any more, and who is one now."""

import psycopg2
from psycopg2 import sql

from contactexport.adopt.changed_rows import pairs_now
from contactexport.adopt.locks import lock_tables
from contactexport.adopt.statements import Statements
from contactexport.adopt.view_text import TableName
from contactexport.db.queries import queries
from contactexport.errors import UsageError

FORMER = "contact_former"


def keep(run: Statements, *, only_shown: bool) -> bool:
    """Keeps the contacts of the former mapping, with their origins. False: there is no view of them any more.

    Writers of its tables wait from here on. Raises UsageError if the view cannot be read, and
    ContactExportError for a table that is locked for 10 s.
    """
    conn, schema = run.conn, run.schema
    if queries("adopt").kind_of_contact(conn, schema=schema) != "v":
        return False
    # Before the view: who writes holds a table and waits for the view.
    locked = [TableName(row["schema_name"], row["table_name"]) for row in queries("adopt").lockable_tables(conn)]
    lock_tables(conn, [] if only_shown else locked)
    pairs = pairs_now(schema, memberships=queries("adopt").has_memberships(conn, schema=schema))
    former = sql.Identifier(schema, FORMER)
    try:
        run.execute("keep_former", only_shown=only_shown, former=former, pairs=pairs)
    except psycopg2.Error as error:
        why = " ".join(str(error.diag.message_primary).split())
        raise UsageError(
            f"The contacts as they were adopted cannot be read, so it is not known who leaves: {why}. "
            "Run `flask contacts release` first"
        ) from None
    return True


def log_difference(run: Statements, *, memberships: bool, only_shown: bool) -> None:
    """Logs who has left an origin with the former mapping, and who has come with this one."""
    schema, former = sql.Identifier(run.schema), sql.Identifier(run.schema, FORMER)
    view, pairs = sql.Identifier(run.schema, "contact"), pairs_now(run.schema, memberships=memberships)
    values = {"schema": schema, "former": former, "view": view, "pairs": pairs}
    run.execute("log_difference", only_shown=only_shown, **values)
    run.execute("forget_former", only_shown=only_shown, former=former)

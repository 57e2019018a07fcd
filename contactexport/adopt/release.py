"""Takes away what adopting has made: the customer's tables are as they were."""

import json
from typing import Any

from psycopg2 import sql

from contactexport.adopt.locks import LOCK_SECONDS
from contactexport.adopt.statements import Statements
from contactexport.adopt.transaction import whole_or_nothing
from contactexport.context import Context
from contactexport.db.queries import queries
from contactexport.errors import UsageError

VIEWS = ("contact_unreadable", "contact_origin", "contact")


def release(context: Context) -> None:
    """Drops triggers, functions, views and catalogue rows, and the log of the adopted contacts.

    Raises, with nothing done: UsageError if no table is adopted, ContactExportError if one stays locked for 10 s.
    """
    with whole_or_nothing(context.contacts) as conn:
        run = Statements(conn, context.contacts.schema)
        adopted = queries("adopt").adopted(conn)
        if adopted is None:
            raise UsageError("No table is adopted: there is nothing to release")
        queries("adopt").limit_lock_wait(conn, wait=f"{LOCK_SECONDS}s")
        take_away(run, adopted)
        queries("adopt").forget_origins(conn, former=json.dumps(adopted["former_origins"]))
        queries("adopt").forget_changes(conn, since=adopted["adopted_at"])
        if queries("adopt").log_key_type(conn) == "uuid":
            queries("adopt").make_log_of_numbers(conn)
        queries("adopt").forget_adopted(conn)
        run.execute("take_own_table_back", table=sql.Identifier(run.schema, "contact_own"))


def take_away(run: Statements, adopted: dict[str, Any]) -> None:
    """Drops what depends on the plan. What stays: the log, origins, and the note that a table is adopted."""
    conn, schema = run.conn, run.schema
    for view in VIEWS:
        run.execute("drop_view", view=sql.Identifier(schema, view))
    for row in queries("adopt").made_functions(conn, schema=schema):
        run.execute("drop_function", signature=sql.SQL(row["signature"]))
    queries("adopt").forget_fields(conn, ids=[field["id"] for field in adopted["plan"]["fields"]])
    queries("adopt").forget_tables(conn)

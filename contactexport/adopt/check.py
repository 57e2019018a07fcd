"""Whether every change of contacts is logged, and every contact can be read.

Contacts are the program's own table, an adopted one, or a view with triggers made by hand.
"""

import logging
from dataclasses import dataclass
from weakref import WeakKeyDictionary

import psycopg2
from psycopg2 import sql

from contactexport.contacts import table as contact_table
from contactexport.context import Context
from contactexport.db.connection import Connection
from contactexport.db.errors import query_errors_translated
from contactexport.db.queries import queries, template
from contactexport.errors import ContactsIncomplete, QueryCancelled, QueryFailed

# For each of two queries over all contacts.
IDS_SECONDS = 10

AGAIN = {
    "own": "put the triggers back as `flask db upgrade` makes them (docs/operations.md, Are all changes logged?)",
    "adopted": "adopt again: `flask contacts adopt`",
    "by hand": "log it by triggers (docs/own-table.md, By hand), or drop the view and run `flask contacts adopt`",
}
NO_CAPTURE = "nothing can log changes there: use a table instead"
# What is found, by kind, and what to do. `relation` and `name` are those of the row, `again` depends on how contacts
# came here.
KINDS: dict[str, tuple[str, str]] = {
    # Changes that are not logged
    "no contacts": ("there is no table or view `contact`", "run `flask db upgrade`, then `flask contacts adopt`"),
    "table gone": (
        "the table {name} was adopted and is gone",
        "{again}, and export all contacts, since it is not logged that those of the table are gone",
    ),
    "detached": (
        "the table {relation} was adopted and is no part of the contacts any more",
        "{again}, and export all contacts, since it is not logged that those of the table have left",
    ),
    "foreign table": ("{relation} is a foreign table", NO_CAPTURE),
    "materialized view": ("{relation} is a materialized view", NO_CAPTURE),
    "not watched": ("{name} of {relation} is not logged", "{again}"),
    "child": ("{name} of {relation} is not logged when it is written directly, without its parent table", "{again}"),
    "removals": ("{name} of {relation} is not logged", "{again}"),
    "trigger missing": ("the trigger {name} of {relation} is missing", "{again}"),
    "trigger disabled": (
        "the trigger {name} of {relation} is disabled",
        "run ALTER TABLE {relation} ENABLE TRIGGER {name}",
    ),
    "trigger of replicas": (
        "the trigger {name} of {relation} is enabled for replication only",
        "run ALTER TABLE {relation} ENABLE TRIGGER {name}",
    ),
    "column": (
        "changes of {name} of {relation} are not logged: the triggers are older than the view that reads it",
        "{again}",
    ),
    "not captured": (
        "{name} of {relation} could not be logged, since an expression of the mapping or a name in it failed",
        "{again}, with another mapping if it fails again, and --first-export for what is missing",
    ),
    "hidden rows": (
        "row-level security of {relation} holds for the role {name}, which would miss rows",
        "run ALTER ROLE {name} BYPASSRLS, or ALTER TABLE {relation} DISABLE ROW LEVEL SECURITY",
    ),
    "hidden from writers": (
        "row-level security of {relation} holds for whoever writes, and a trigger runs with the writer's rights",
        "make the function of the trigger SECURITY DEFINER",
    ),
    "subscription": (
        "the subscription {name} writes {relation}, and logical replication fires no such triggers",
        "let the changes arrive by ordinary statements, or log them by triggers FOR EACH ROW that are ENABLE ALWAYS",
    ),
    "silent subscription": (
        "the subscription {name} does not tell which tables it writes, and logical replication fires no such triggers",
        "run ALTER SUBSCRIPTION {name} REFRESH PUBLICATION, and check again",
    ),
    "replica": (
        "session_replication_role is replica for the {name}: its changes fire only triggers that are ENABLE ALWAYS",
        "reset it (ALTER … RESET session_replication_role), or ALTER TABLE … ENABLE ALWAYS TRIGGER",
    ),
    # Contacts that cannot be read, or not well
    "column missing": ("{relation} has no column {name}", "add the column, or change contact_field.column_name"),
    "column forbidden": (
        "columns of {relation} cannot be read: {name}",
        "run GRANT SELECT ON {relation} TO the program's role",
    ),
    "table forbidden": ("{name} may not read {relation}", "run GRANT SELECT ON {relation} TO {name}"),
    "base forbidden": (
        "{name} may not read what the view needs of {relation}",
        "run GRANT SELECT ON {relation} TO {name}",
    ),
    "log forbidden": (
        "{name}, who owns the functions of the triggers, may not write {relation}",
        "run GRANT INSERT ON {relation} TO {name}",
    ),
    "function": (
        "the view calls {name}, and what that reads is not watched",
        "join the table instead, or declare the function IMMUTABLE if it reads none",
    ),
    "clock": (
        "{relation} depends on the time (such as now() or current_date): contacts change without being written",
        "leave the time to who reads the file: export the date itself",
    ),
    "statistics": (
        "{name} cannot see for how long other roles have been changing contacts, so exports may wait or end early",
        "run GRANT pg_read_all_stats TO {name}",
    ),
    "no id": ("a contact has no id", "each row of `contact` needs an id of its own in `id`"),
    "repeated id": ("contact {name} is there more than once", "each row of `contact` needs an id of its own in `id`"),
    "unreadable": ("`contact` cannot be read: {name}", "mend the view"),
}

prepared: WeakKeyDictionary[Connection, set[str]] = WeakKeyDictionary()
logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Finding:
    """What is wrong, and what to do about it: a line each."""

    what: str
    remedy: str


def check(context: Context) -> list[Finding]:
    """Everything that would be missed, or cannot be read. Empty: all is well.

    Raises DatabaseUnavailable, and QueryFailed for what Postgres refuses.
    """
    with query_errors_translated(), context.contacts.transaction() as conn:
        found = [*_rows(conn, "gaps"), *_rows(conn, "misreadings")]
    if not any(row["kind"] == "no contacts" for row in found):
        found += unfit_ids(context)
    return [_finding(row) for row in found]


def warnings(conn: Connection, *, removed: bool = False) -> list[str]:
    """What of the changes is not logged, for the status of an export, in the session that has read it. Never raises.

    A view with triggers made by hand need not log removals, unless the export has `removed` contacts.
    """
    try:
        rows = [] if queries("adopt_check").is_own_table_whole(conn) else _rows(conn, "gaps")
    except psycopg2.Error as error:  # the file is there, and must not be lost for this
        logger.warning("not checked whether all changes are logged: reason=%s", str(error).strip())
        return []
    told = [_finding(row) for row in rows if removed or (row["kind"], row["how"]) != ("removals", "by hand")]
    return [f"Changes may be missing: {one.what}" for one in told]


def _rows(conn: Connection, query: str) -> list[dict[str, str]]:
    """Of a query that a session plans once."""
    name = f"contactexport_{query}"
    known = prepared.setdefault(conn, set())
    with conn.cursor() as cursor:
        if name not in known:
            statement = template("adopt_check", query).format(watched=template("adopt_check", "watched"))
            cursor.execute(template("adopt_check", "prepare").format(name=sql.Identifier(name), query=statement))
            known.add(name)
        cursor.execute(template("adopt_check", "execute").format(name=sql.Identifier(name)))
        return list(cursor.fetchall())


def unfit_ids(context: Context) -> list[dict[str, str]]:
    """A contact without an id, and one that is there twice. A table with a key is not searched."""
    found: list[dict[str, str]] = []
    with context.contacts.transaction() as conn:
        if contact_table.ids_are_unique(conn):
            return []
        queries("server").limit_statements(conn, milliseconds=str(IDS_SECONDS * 1000))
        try:
            with query_errors_translated():
                if queries("adopt_check").lacks_id(conn):
                    found.append({"kind": "no id"})
                if (repeated := queries("adopt_check").repeated_id(conn)) is not None:
                    found.append({"kind": "repeated id", "name": repeated})
        except QueryCancelled:
            logger.warning("not all ids were compared within %d seconds", IDS_SECONDS)
        except ContactsIncomplete:
            logger.info("ids were not compared: row-level security hides rows, which is told already")
        except QueryFailed as error:
            found.append({"kind": "unreadable", "name": error.text})
    return found


def _finding(row: dict[str, str]) -> Finding:
    values = {"relation": "", "name": "", "how": "own"} | row
    what, remedy = KINDS[row["kind"]]
    values["again"] = AGAIN[values["how"]]
    return Finding(what.format(**values), remedy.format(**values))

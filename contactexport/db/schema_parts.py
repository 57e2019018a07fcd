"""What the migrations make, compared with what a database has: tables, columns, indexes, triggers, functions and so on.

migrations/schema.txt lists it, a line for each part. A test compares the list with a new database, and writes it anew.
"""

import hashlib
import re
from functools import cache
from pathlib import Path

from psycopg2 import sql
from psycopg2.extensions import connection

from contactexport.db.queries import queries

LIST = Path(__file__).parent / "migrations" / "schema.txt"
# Made as well, but not in the list: an adopter may have put a view in their place.
CONTACTS = ("contact", "contact_email", "contact_pkey", "contact_id_seq")
HASH = re.compile(r" [0-9a-f]{16}$")
NAME = re.compile(r"(?:table|sequence|index|unique index|function) (\w+)")


def parts(conn: connection, schema: str) -> set[str]:
    """The lines for everything in a schema. A function's has the hash of its text, whatever the schema is called."""
    return {_line(conn, schema, *part) for part in queries("schema").parts(conn, schema=schema) or ()}


def missing(conn: connection, schema: str) -> list[str]:
    """The lines of the list that a schema lacks, without hashes: a function with another text is missing, too."""
    return sorted(HASH.sub("", line) for line in _listed() - parts(conn, schema))


def unknown(conn: connection, schema: str) -> list[str]:
    """Columns and constraints of our tables that are not in the list. They may refuse what this program writes."""
    tables = {line.removeprefix("table ") for line in _listed() if line.startswith("table ")}
    additional = re.compile(rf"column ({'|'.join(tables)})\.|constraint \w+ of ({'|'.join(tables)})$")
    return sorted(line for line in parts(conn, schema) - _listed() if additional.match(line))


def taken_names(conn: connection, schema: str) -> list[str]:
    """The names of ours that something in the schema has."""
    ours = [*CONTACTS, *(found[1] for line in _listed() if (found := NAME.match(line)))]
    return list(queries("schema").taken_names(conn, schema=schema, names=ours) or ())


@cache
def _listed() -> frozenset[str]:
    return frozenset(LIST.read_text(encoding="utf-8").splitlines())


def _line(conn: connection, schema: str, line: str, body: str | None) -> str:
    if body is None:
        return line
    name = sql.Identifier(schema).as_string(conn) + "."
    quoted = sql.Literal(name).as_string(conn).removesuffix("'")
    text = body.replace(quoted, "'{schema}.").replace(name, "{schema}.")
    text = text.replace(sql.Literal(schema).as_string(conn), "{schema_name}")
    return f"{line} {hashlib.sha256(text.encode()).hexdigest()[:16]}"

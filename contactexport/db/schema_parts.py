"""Compares what the migrations create with what a database has: tables, columns, indexes, triggers, functions.

migrations/schema.txt lists what they create, one part in a line. A test compares the list with a new database, and can
write it.
"""

import hashlib
import re
from functools import cache
from pathlib import Path

from psycopg2 import sql
from psycopg2.extensions import connection

from contactexport.db.queries import queries

LIST = Path(__file__).parent / "migrations" / "schema.txt"
# The migrations create these too. They are not in the list: an adopter may have a view in their place.
CONTACTS = ("contact", "contact_email", "contact_pkey", "contact_id_seq")
# What a database of contacts does not need.
OF_EXPORTS = re.compile(
    r".*\b(export|export_row_mark|feed|feed_event|manifest_key|api_user|access_token|wsse_nonce|request_count|ftp_host_trait"
    r"|installation|console_session|console_link|export_event)(\.|$| \()"
    r"|(sequence|function) (export|feed|feed_event|manifest_key|api_user)_"
)
HASH = re.compile(r" [0-9a-f]{16}$")
NAME = re.compile(r"(?:table|sequence|index|unique index|function) (\w+)")


def parts(conn: connection, schema: str) -> set[str]:
    """A line for each part of a schema. That of a function ends with a hash of its text without the schema's name."""
    name = sql.Identifier(schema).as_string(conn) + "."
    quoted = sql.Literal(name).as_string(conn).removesuffix("'")
    literal = sql.Literal(schema).as_string(conn)
    lines = set()
    for line, body in queries("schema").parts(conn, schema=schema) or ():
        if body is None:
            lines.add(line)
            continue
        text = body.replace(quoted, "'{schema}.").replace(name, "{schema}.").replace(literal, "{schema_name}")
        lines.add(f"{line} {hashlib.sha256(text.encode()).hexdigest()[:16]}")
    return lines


def missing(conn: connection, schema: str) -> list[str]:
    """The lines of the list that a schema lacks, without hashes. A function with another text counts as missing."""
    lacking = _listed() - parts(conn, schema)
    if queries("schema").is_contacts_only(conn):
        lacking = frozenset(line for line in lacking if not OF_EXPORTS.match(line))
    return sorted(HASH.sub("", line) for line in lacking)


def missing_functions(conn: connection, schema: str) -> list[str]:
    """Those of them that are functions."""
    return [line for line in missing(conn, schema) if line.startswith("function ")]


def unknown(conn: connection, schema: str) -> list[str]:
    """Columns and constraints of our tables that are not in the list. They might refuse what this program writes."""
    tables = {line.removeprefix("table ") for line in _listed() if line.startswith("table ")}
    additional = re.compile(rf"column ({'|'.join(tables)})\.|constraint \w+ of ({'|'.join(tables)})$")
    return sorted(line for line in parts(conn, schema) - _listed() if additional.match(line))


def taken_names(conn: connection, schema: str) -> list[str]:
    """Names of ours that something in the schema already has."""
    ours = [*CONTACTS, *(found[1] for line in _listed() if (found := NAME.match(line)))]
    return list(queries("schema").taken_names(conn, schema=schema, names=ours) or ())


@cache
def _listed() -> frozenset[str]:
    return frozenset(LIST.read_text(encoding="utf-8").splitlines())

"""Mirrors of a feed, kept by the programs of examples/mirror, and what they must be equal to."""

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import psycopg2
from psycopg2 import sql

from tests.support.served import PROJECT

PROGRAMS = PROJECT / "examples" / "mirror"
SCHEMA = "mirror"
FIELDS = (1, 2, 3)
COLUMNS = ("user_id", "First Name", "Last Name", "E-Mail")
SOURCE = "SELECT id::text, first_name, last_name, email FROM contact WHERE {}"

Rows = dict[str, tuple[str | None, ...]]


@dataclass(frozen=True)
class Mirror:
    """A table that follows a feed. `database` is a URL of Postgres, or the path of a DuckDB file."""

    program: str
    database: str
    table: str
    feed: str

    def start(self, source: str | Path, token: str = "") -> subprocess.Popen[str]:
        """Starts the program, which applies what is new in a folder or at a service."""
        return subprocess.Popen(
            [sys.executable, str(PROGRAMS / self.program), self.database, self.table, self.feed, str(source)],
            env=os.environ | {"TOKEN": token},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def apply(self, source: str | Path, token: str = "") -> list[str]:
        """Applies what is new. Returns what the program says of each file, such as `applied`."""
        process = self.start(source, token)
        told, errors = process.communicate(timeout=120)
        assert (process.returncode, errors) == (0, "")
        return [line.split()[-1] for line in told.splitlines()]

    def rows(self) -> Rows:
        """The values of the fields by id."""
        if self.program == "to_duckdb.py":
            import duckdb

            with duckdb.connect(self.database) as conn:
                columns = ", ".join(f'"{name}"' for name in COLUMNS)
                found = conn.execute(f'SELECT {columns} FROM "{self.table}"').fetchall()
        else:
            columns = sql.SQL(", ").join(map(sql.Identifier, COLUMNS))
            statement = sql.SQL("SELECT {} FROM {}").format(columns, sql.Identifier(self.table))
            found = queried(self.database, statement)
        assert len({row[0] for row in found}) == len(found), "a contact is there twice"
        return {row[0]: row[1:] for row in found}


def in_postgres(url: str, table: str, feed: str) -> Mirror:
    """A mirror in a schema of its own, which is made if it is missing."""
    queried(url, f"CREATE SCHEMA IF NOT EXISTS {SCHEMA}")
    joined = "&" if "?" in url else "?"
    return Mirror("to_postgres.py", f"{url}{joined}options={quote(f'-csearch_path={SCHEMA}')}", table, feed)


def in_duckdb(file: Path, table: str, feed: str) -> Mirror:
    return Mirror("to_duckdb.py", str(file), table, feed)


def source_rows(url: str, condition: str) -> Rows:
    """The contacts that a mirror must have. An empty text is NULL in a file."""
    return {row[0]: tuple(value or None for value in row[1:]) for row in queried(url, SOURCE.format(condition))}


def differing(mirror: Rows, source: Rows) -> dict[str, tuple[object, object]]:
    """Contacts that are not the same: what the mirror has, and what the source has."""
    ids = mirror.keys() | source.keys()
    return {one: (mirror.get(one), source.get(one)) for one in ids if mirror.get(one) != source.get(one)}


def queried(url: str, statement: str | sql.Composable) -> list[tuple]:
    conn = psycopg2.connect(url)
    try:
        with conn, conn.cursor() as cursor:
            cursor.execute(statement)
            return cursor.fetchall() if cursor.description else []
    finally:
        conn.close()

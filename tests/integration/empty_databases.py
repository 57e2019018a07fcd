"""Databases beside the test's own: in which nothing has been made, or by an older version."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from backends import database_url
from exporting import backend_with, other_session
from psycopg2 import sql

from contactexport.backend import Backend

DUMP = Path(__file__).parents[1] / "data" / "schema_0001.sql"


@contextmanager
def empty_database(backend: Backend, name: str) -> Iterator[Backend]:
    """A backend for a new database, which is dropped at the end."""
    database = sql.Identifier(name)
    with other_session(backend) as conn, conn.cursor() as cursor:
        cursor.execute(sql.SQL("CREATE DATABASE {} TEMPLATE template0").format(database))
        made = backend_with(backend, database_url=database_url(backend.database.url, name))
        yield made
        made.database.close()
        cursor.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(database))


@contextmanager
def old_database(backend: Backend, name: str) -> Iterator[Backend]:
    """The same for one that version 0001 of the schema has made, with some rows in every table."""
    with empty_database(backend, name) as made:
        with other_session(made) as conn, conn.cursor() as cursor:
            cursor.execute(DUMP.read_text(encoding="utf-8"))
        yield made

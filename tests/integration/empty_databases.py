"""Databases beside the test's own: in which nothing has been made, or by an older version."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from backends import database_url
from exporting import backend_with, other_session
from psycopg2 import sql

from contactexport.backend import Backend

DUMPS = Path(__file__).parents[1] / "data"


@contextmanager
def empty_database(backend: Backend, name: str, **settings: object) -> Iterator[Backend]:
    """A backend with these settings for a new database, which is dropped at the end."""
    database = sql.Identifier(name)
    with other_session(backend) as conn, conn.cursor() as cursor:
        cursor.execute(sql.SQL("CREATE DATABASE {} TEMPLATE template0").format(database))
        made = backend_with(backend, database_url=database_url(backend.database.url, name), **settings)
        yield made
        made.database.close()
        cursor.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(database))


@contextmanager
def old_database(backend: Backend, name: str, version: str = "0001") -> Iterator[Backend]:
    """The same for one that an older version of the schema has made, with some rows in every table."""
    with empty_database(backend, name) as made:
        with other_session(made) as conn, conn.cursor() as cursor:
            cursor.execute((DUMPS / f"schema_{version}.sql").read_text(encoding="utf-8"))
        yield made

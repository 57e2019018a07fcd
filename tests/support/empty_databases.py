"""Databases beside the test's own: empty ones, or with the schema of an older version."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from psycopg2 import sql

from contactexport.context import Context
from tests.support.contexts import database_url
from tests.support.exporting import context_with, other_session

DUMPS = Path(__file__).parents[1] / "data"

# A separate program that upgrades the database with the URL of its argument.
UPGRADE = """
import sys
from contactexport.db import migrate, migration_steps
from contactexport.db.connection import Database
print(*migrate.upgrade(Database(lambda: sys.argv[1])))
"""


@contextmanager
def empty_database(context: Context, name: str, **settings: object) -> Iterator[Context]:
    """A context with these settings and a new database, which is dropped at the end."""
    database = sql.Identifier(name)
    with other_session(context) as conn, conn.cursor() as cursor:
        cursor.execute(sql.SQL("CREATE DATABASE {} TEMPLATE template0").format(database))
        made = context_with(context, database_url=database_url(context.database.url, name), **settings)
        yield made
        made.database.close()
        cursor.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(database))


@contextmanager
def old_database(context: Context, name: str, version: str = "0001") -> Iterator[Context]:
    """The same with the schema of an older version, and with some rows in every table."""
    with empty_database(context, name) as made:
        with other_session(made) as conn, conn.cursor() as cursor:
            cursor.execute((DUMPS / f"schema_{version}.sql").read_text(encoding="utf-8"))
        yield made

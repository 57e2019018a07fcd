"""Versioned migrations of both databases with Alembic; the steps themselves are plain SQL."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from alembic.util import CommandError
from psycopg2.errors import LockNotAvailable
from psycopg2.extensions import cursor
from sqlalchemy import Connection, create_engine
from sqlalchemy.exc import DBAPIError
from sqlalchemy.pool import NullPool

from contactexport.db import replica_repository
from contactexport.db.connection import Database
from contactexport.db.queries import queries
from contactexport.errors import ContactExportError, LogInUse, SchemaMismatch

# Any constant does, if nothing else in the database uses it: "contactexport migrations".
MIGRATION_LOCK = 0x636D6967


def upgrade(database: Database) -> tuple[str | None, str]:
    """Brings the schema to this program's version; returns the versions before and after.

    Safe to run twice and by several processes at once: all of it is one transaction under an advisory lock that
    Postgres drops with the session, so a killed upgrade leaves nothing behind.
    A read replica gets its schema from its primary and is only looked at.
    Raises SchemaMismatch when the schema is newer than this program, LogInUse when exports or writers hold a table for
    longer than a migration may wait, DatabaseUnavailable without a database, ContactExportError when it would call what
    somebody else has made.
    """
    with database.session() as raw:
        if replica_repository.is_replica(raw):
            check(database)
            return _newest(), _newest()
        if foreign := queries("schema").foreign_name(raw):
            raise ContactExportError(
                f"{foreign['name']} belongs to {foreign['owner']}, and Postgres may call it in place of its own: "
                "drop it, or move it to another schema (docs/operations.md, Roles)"
            )
        raw.autocommit = False
        raw.cursor_factory = cursor  # SQLAlchemy reads rows by position
        engine = create_engine("postgresql+psycopg2://", creator=lambda: raw, poolclass=NullPool)
        with _plain_errors(), engine.connect() as connection, connection.begin():
            queries("advisory_lock").take_transaction_lock(raw, key=MIGRATION_LOCK)
            before = MigrationContext.configure(connection).get_current_revision()
            return before, _upgrade(connection, before)


def current_version(database: Database) -> str | None:
    """The schema's version, None for an empty database."""
    with database.transaction() as conn:
        known = queries("schema").has_version_table(conn)
        version: str | None = queries("schema").current_version(conn) if known else None
        return version


def check(database: Database) -> None:
    """Raises SchemaMismatch unless the schema has exactly this program's version."""
    found, expected = current_version(database), _newest()
    if found is None or found < expected:
        raise SchemaMismatch(
            f"The database's schema is at {found or 'nothing'}, {expected} expected: run `flask db upgrade`"
        )
    if found > expected:
        raise SchemaMismatch(_newer(found, expected))


def schema_open_to_all(database: Database) -> str | None:
    """The schema of the program's tables if every role may create functions in it, None if not."""
    with database.transaction() as conn:
        schema: str | None = queries("schema").schema_open_to_all(conn)
        return schema


@contextmanager
def _plain_errors() -> Iterator[None]:
    """SQLAlchemy wraps the driver's errors, which the session knows how to tell the user."""
    try:
        yield
    except LockNotAvailable:
        raise LogInUse(
            "The change log is in use by an export or a writer: nothing was upgraded, "
            "try again later or stop the workers"
        ) from None
    except DBAPIError as error:
        raise error.orig or error from None


def _upgrade(connection: Connection, before: str | None) -> str:
    config = _config()
    config.attributes["connection"] = connection
    scripts = ScriptDirectory.from_config(config)
    try:
        scripts.get_revision(before or "base")
    except CommandError:
        raise SchemaMismatch(_newer(str(before), _head(scripts))) from None
    command.upgrade(config, "head")
    return _head(scripts)


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    config.set_main_option("path_separator", "os")
    return config


@cache
def _newest() -> str:
    return _head(ScriptDirectory.from_config(_config()))


def _head(scripts: ScriptDirectory) -> str:
    head = scripts.get_current_head()
    assert head is not None  # noqa: S101 - the package ships at least one migration
    return head


def _newer(found: str, expected: str) -> str:
    return f"The database's schema is at {found}, newer than this program's {expected}: install the newer program"

"""Versioned migrations of both databases with Alembic. The steps are plain SQL."""

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial

import psycopg2
from psycopg2 import sql
from psycopg2.errors import InsufficientPrivilege, LockNotAvailable
from psycopg2.extensions import cursor

from contactexport.db import function_files, schema_parts, version_record
from contactexport.db.connection import Connection, Database
from contactexport.db.queries import queries, template
from contactexport.errors import ContactExportError, DatabaseUnavailable, LogInUse, SchemaMismatch
from contactexport.settings import DEFAULT_SCHEMA

# Any constant will do that nothing else in the database uses. This one spells "cmig".
MIGRATION_LOCK = 0x636D6967
MAX_NAMES = 8
logger = logging.getLogger(__name__)
# Such as a table that already exists or is missing, or rows that a new constraint refuses.
MISFITS = (psycopg2.ProgrammingError, psycopg2.IntegrityError, psycopg2.DataError, psycopg2.NotSupportedError)
DOES_NOT_FIT = (
    "It was made by an edition of this program that was never released, or changed by hand. "
    "Nothing was changed (docs/failures.md, Postgres)"
)


def upgrade(database: Database) -> tuple[str | None, str]:
    """Brings the schema to this program's version. Returns the versions before and after.

    It may run twice, and by several processes at once. All of it is one transaction under an advisory lock, which
    Postgres drops with the session. So a killed upgrade leaves nothing behind. A read replica gets its schema from its
    primary, so it is only checked. Raises

    - SchemaMismatch if the schema is newer than this program, or is not what its version creates,
    - LogInUse if exports or writers hold a table for longer than a migration may wait,
    - DatabaseUnavailable without a database,
    - ContactExportError if it would call a function or operator of another role, or if its names are taken.
    """
    with database.session() as conn:
        if queries("replica").is_replica(conn):
            check(database)
            return version_record.newest(), version_record.newest()
        if foreign := queries("schema").foreign_name(conn):
            raise ContactExportError(
                f"{foreign['name']} belongs to {foreign['owner']}, and Postgres may call it in place of its own: "
                "drop it, or move it to another schema (docs/operations.md, Roles)"
            )
        conn.autocommit = False
        conn.cursor_factory = cursor  # SQLAlchemy reads rows by position
        # Every process of the program imports this module, and these imports take a third of its start.
        from alembic import command
        from alembic.config import Config
        from sqlalchemy import create_engine
        from sqlalchemy.pool import NullPool

        engine = create_engine("postgresql+psycopg2://", creator=lambda: conn, poolclass=NullPool)
        config = Config()
        config.set_main_option("script_location", str(version_record.MIGRATIONS))
        config.set_main_option("path_separator", "os")
        with _plain_errors(database.schema), engine.connect() as connection, connection.begin():
            config.attributes["connection"] = connection
            return _upgrade(partial(command.upgrade, config, "head"), conn, database)


def current_version(database: Database) -> str | None:
    """The version of the schema. None for an empty database."""
    with database.transaction() as conn:
        return version_record.version(conn)


def check(database: Database) -> None:
    """Raises SchemaMismatch unless the schema has exactly this program's version, by this program's migrations."""
    with database.transaction() as conn:
        found, expected = version_record.version(conn), version_record.newest()
        if found is None or found < expected:
            raise SchemaMismatch(
                f"The database's schema {database.schema} is at {found or 'nothing'}, {expected} expected: "
                "run `flask db upgrade`"
            )
        if found > expected:
            raise SchemaMismatch(_newer(database.schema, found))
        if not version_record.has_checksums(conn):
            raise SchemaMismatch(
                f"The database's schema {database.schema} has no checksums yet: run `flask db upgrade`"
            )
        version_record.require_same_versions(conn)
        _require_exports(conn, database)


def differences(database: Database) -> list[str]:
    """What the schema lacks of what its version creates, one line each. Without `contact`: it may be an adopter's."""
    with database.transaction() as conn:
        lacking = schema_parts.missing(conn, database.schema)
        if queries("schema").lacks_index_by_time(conn):
            lacking.append(
                "index contact_change_by_time on contact_change (changed_at): exports of all origins need it before "
                "Postgres 18, and `flask db upgrade` makes it"
            )
        return lacking


def schema_open_to_all(database: Database) -> bool:
    """True if every role may create functions in the schema of the program's tables."""
    with database.transaction() as conn:
        return bool(queries("schema").open_to_all(conn, schema=database.schema))


@contextmanager
def _plain_errors(schema: str) -> Iterator[None]:
    """Says what an error in a version means. SQLAlchemy wraps the errors of the driver."""
    from sqlalchemy.exc import DBAPIError

    try:
        yield
    except (DBAPIError, psycopg2.Error) as wrapped:
        error = wrapped.orig if isinstance(wrapped, DBAPIError) else wrapped
        if isinstance(error, LockNotAvailable):
            raise LogInUse(
                "The change log or the table of exports is in use by an export, a request or a writer: "
                "nothing was upgraded, try again later or stop the workers"
            ) from None
        if isinstance(error, MISFITS) and not isinstance(error, InsufficientPrivilege):
            reason = " ".join(str(error.diag.message_primary).split())
            raise SchemaMismatch(f"The schema {schema} cannot be upgraded: {reason}. {DOES_NOT_FIT}") from error
        raise error or wrapped from None


def _upgrade(run_versions: Callable[[], None], conn: Connection, database: Database) -> tuple[str | None, str]:
    """Runs in one transaction of `conn`."""
    schema = database.schema
    queries("advisory_lock").take_transaction_lock(conn, key=MIGRATION_LOCK)
    version_record.take_former_table(conn)
    before = version_record.version(conn)
    if before is None:
        _make_room(conn, schema)
    elif before not in version_record.known_versions():
        raise SchemaMismatch(_newer(schema, before))
    has_checksums = version_record.has_checksums(conn)
    if not has_checksums:
        version_record.make_checksums(conn, until=before)
    version_record.require_same_versions(conn)
    run_versions()
    if before is None and database.contacts_only:
        queries("schema").keep_contacts_only(conn)
    _require_exports(conn, database)
    if before != version_record.newest() or schema_parts.missing_functions(conn, schema):
        function_files.apply(conn, schema)
    if queries("schema").lacks_index_by_time(conn):
        logger.warning("creating the index contact_change_by_time: writers of contacts wait until it is done")
        queries("schema").make_index_by_time(conn)
    if before is not None and not has_checksums:
        _require_our_own(conn, schema)
    return before, version_record.newest()


def _make_room(conn: Connection, schema: str) -> None:
    """Creates the schema if it is missing. Raises ContactExportError if something in it already has a name of ours."""
    elsewhere = queries("schema").found_by_role(conn)
    if schema == DEFAULT_SCHEMA and elsewhere not in {None, schema}:
        raise SchemaMismatch(
            f"The program's tables are in the schema {elsewhere}, to which the role's search_path leads: "
            f"set CONTACTEXPORT_SCHEMA={elsewhere}"
        )
    if names := schema_parts.taken_names(conn, schema):
        raise ContactExportError(
            f"The schema {schema} has {_first(names)} already, which this program has not made: "
            "set CONTACTEXPORT_SCHEMA to a schema of its own, such as contactexport. Nothing was changed"
        )
    try:
        if not queries("schema").exists(conn, schema=schema):
            with conn.cursor() as run:
                run.execute(template("schema", "create").format(schema=sql.Identifier(schema)))
    except InsufficientPrivilege as error:
        raise DatabaseUnavailable(
            f"The schema {schema} does not exist, and the database does not let this user make it: "
            "CREATE SCHEMA … AUTHORIZATION … (docs/operations.md, The schema)"
        ) from error
    if not queries("schema").may_be_used(conn, schema=schema):
        raise DatabaseUnavailable(
            f"The database refuses this user: permission denied for the schema {schema}: "
            "GRANT USAGE, CREATE ON SCHEMA … TO … (docs/operations.md, The schema)"
        )


def _require_our_own(conn: Connection, schema: str) -> None:
    """Raises SchemaMismatch unless the schema is what the versions create. Some were edited before their release."""
    told = []
    if lacking := schema_parts.missing(conn, schema):
        told.append(f"lacks {_first(lacking)}")
    if unknown := schema_parts.unknown(conn, schema):
        told.append(f"has {_first(unknown)} besides")
    if told:
        raise SchemaMismatch(f"The schema {schema} {' and '.join(told)}. {DOES_NOT_FIT}")


def _require_exports(conn: Connection, database: Database) -> None:
    """Raises SchemaMismatch if exports are to be stored where only contacts are."""
    if not database.contacts_only and queries("schema").is_contacts_only(conn):
        raise SchemaMismatch(
            f"The schema {database.schema} has contacts only, made by CONTACTEXPORT_CONTACTS_DATABASE_URL: "
            "set CONTACTEXPORT_DATABASE_URL to another database, or CONTACTEXPORT_SCHEMA to another schema"
        )


def _first(names: list[str]) -> str:
    return ", ".join(names[:MAX_NAMES]) + (f" and {len(names) - MAX_NAMES} more" if len(names) > MAX_NAMES else "")


def _newer(schema: str, found: str) -> str:
    return (
        f"The database's schema {schema} is at {found}, newer than this program's {version_record.newest()}: "
        "install the newer program"
    )

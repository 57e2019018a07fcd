"""What a database notes of its schema: its version, and the checksum of each version that it ran."""

import hashlib
from functools import cache
from pathlib import Path

from psycopg2.extensions import connection

from contactexport.db.queries import queries
from contactexport.errors import SchemaMismatch

MIGRATIONS = Path(__file__).parent / "migrations"
VERSION_TABLE = "contactexport_version"


def version(conn: connection) -> str | None:
    """The version of the schema. None for a schema without one."""
    schema = queries("schema")
    found: str | None = None
    if schema.has_own_table(conn):
        found = schema.own_version(conn)
    elif schema.may_have_former_table(conn) and (former := schema.former_version(conn)) in known_versions():
        found = former
    return found


def take_former_table(conn: connection) -> None:
    """Replaces the table `alembic_version` if this program created it. That of another program stays."""
    if version(conn) is not None and not queries("schema").has_own_table(conn):
        queries("schema").take_former_table(conn)


def has_checksums(conn: connection) -> bool:
    """False if only a program without checksums has upgraded the schema so far."""
    return bool(queries("schema").has_checksums(conn))


def make_checksums(conn: connection, until: str | None) -> None:
    """Creates their table, and notes those of all versions up to `until` as applied.

    `migrate` compares what those versions created.
    """
    queries("schema").make_checksums(conn)
    for applied in known_versions():
        if until is not None and applied <= until:
            note_checksum(conn, applied)


def note_checksum(conn: connection, applied: str) -> None:
    """Notes that the database ran this program's edition of a version."""
    queries("schema").note_checksum(conn, version=applied, sha256=known_versions()[applied])


def require_same_versions(conn: connection) -> None:
    """Raises SchemaMismatch. It names the first version of which the database ran another edition."""
    noted = queries("schema").checksums(conn)
    found = version(conn)
    for applied, checksum in known_versions().items():
        if found is not None and applied <= found and noted.get(applied) != checksum:
            raise SchemaMismatch(
                f"Version {applied} of the database's schema was made by another edition of this program: its checksum "
                f"is {noted.get(applied, 'missing')}, {checksum} expected (docs/failures.md, Postgres)"
            )


@cache
def known_versions() -> dict[str, str]:
    """The SHA-256 of the statements of each version, oldest version first."""
    files = sorted((MIGRATIONS / "versions").glob("*.sql"))
    return {path.name.partition("_")[0]: hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def newest() -> str:
    """The version that this program needs."""
    return list(known_versions())[-1]

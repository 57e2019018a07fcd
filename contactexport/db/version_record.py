"""What a database notes of its schema: its version, in `contactexport_version`, and a checksum of each that it ran."""

import hashlib
from functools import cache
from pathlib import Path

from alembic.config import Config
from alembic.script import ScriptDirectory
from psycopg2.extensions import connection

from contactexport.db.queries import queries
from contactexport.errors import SchemaMismatch

MIGRATIONS = Path(__file__).parent / "migrations"
VERSION_TABLE = "contactexport_version"


def version(conn: connection) -> str | None:
    """The schema's version, None for a schema without one."""
    schema = queries("schema")
    found: str | None = None
    if schema.has_own_table(conn):
        found = schema.own_version(conn)
    elif schema.may_have_former_table(conn) and (former := schema.former_version(conn)) in known_versions():
        found = former
    return found


def take_former_table(conn: connection) -> None:
    """Replaces the table `alembic_version` if this program has made it. Another program's is left alone."""
    if version(conn) is not None and not queries("schema").has_own_table(conn):
        queries("schema").take_former_table(conn)


def has_checksums(conn: connection) -> bool:
    """False for a schema that no program that notes them has upgraded."""
    return bool(queries("schema").has_checksums(conn))


def make_checksums(conn: connection, until: str | None) -> None:
    """Makes their table, with those of the versions up to one: what they have made is compared elsewhere."""
    queries("schema").make_checksums(conn)
    for applied in known_versions():
        if until is not None and applied <= until:
            note_checksum(conn, applied)


def note_checksum(conn: connection, applied: str) -> None:
    """Notes that a version was applied as this program has it."""
    queries("schema").note_checksum(conn, version=applied, sha256=known_versions()[applied])


def require_same_versions(conn: connection) -> None:
    """Raises SchemaMismatch with the first version that was not applied as this program has it."""
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
    """The SHA-256 of what each version runs, the oldest version first."""
    scripts = [(script.revision, script.path) for script in ScriptDirectory.from_config(config()).walk_revisions()]
    return {revision: _checksum(path) for revision, path in reversed(scripts)}


def newest() -> str:
    """The version that this program needs."""
    return list(known_versions())[-1]


def config() -> Config:
    """What Alembic must know to find the versions."""
    made = Config()
    made.set_main_option("script_location", str(MIGRATIONS))
    made.set_main_option("path_separator", "os")
    return made


def _checksum(script: str) -> str:
    return hashlib.sha256(Path(script).with_suffix(".sql").read_bytes()).hexdigest()

"""Looks at everything this installation needs, for `flask doctor`: a line for each part, ok or what to do."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import version

from contactexport.adopt import check as capture_check
from contactexport.adopt.check import Finding
from contactexport.changes import log
from contactexport.context import Context
from contactexport.db import migrate, schema_parts, writable
from contactexport.db.connection import Database
from contactexport.db.queries import queries
from contactexport.errors import ContactExportError, DatabaseUnavailable, SchemaMismatch, SecretUnreadable, StorageUnfit
from contactexport.files import storage_check
from contactexport.manifests import store as manifests

OK, TO_DO, NOT_KNOWN = "ok", "to do", "not known"
CLOCK_SECONDS = 2.0
LEAST_FREE_BYTES, LEAST_FREE_PERCENT = 2**30, 5
OVERDUE_SECONDS = 60
KEY_STATES = frozenset({"no key", "another key"})


@dataclass(frozen=True)
class Line:
    """A part, how it is, and what to do about it. `state` is `ok`, `to do` or `not known`."""

    part: str
    state: str
    text: str
    remedy: str = ""


# What a look at a part tells: a text if all is well, else what is to be done.
Look = Callable[[Context], str | list[Finding]]


def examine(context: Context) -> list[Line]:
    """A line for each part, several where several things are to be done. Whatever does not answer is told, too."""
    two = context.contacts is not context.database
    contacts = "contacts database" if two else "database"
    # Each part with the parts without which it cannot be looked at.
    parts: list[tuple[str, Look, tuple[str, ...]]] = [
        ("database", lambda context: check_database(context.database), ()),
        *([(contacts, lambda context: check_database(context.contacts), ())] if two else []),
        ("version", check_version, ("database", contacts)),
        ("schema", check_schema, ("database", contacts, "version")),
        ("rights", check_rights, ("database", "version")),
        ("pooler", check_pooler, ("database", contacts)),
        ("contacts", check_contacts, (contacts, "version")),
        ("key", check_key, ("database", "version")),
        ("storage", check_storage, ("database", "version", "key")),
        ("disk", check_disk, ()),
        ("broker", check_broker, ()),
        ("clock", check_clock, ("database",)),
        ("workers", check_workers, ("database", "version")),
    ]
    lines: list[Line] = []
    for part, look, needs in parts:
        lacking = next((one.part for one in lines if one.part in needs and one.state != OK), None)
        lines += [Line(part, NOT_KNOWN, f"needs the {lacking}")] if lacking else look_at(context, part, look)
    return lines


def look_at(context: Context, part: str, look: Look) -> list[Line]:
    """The lines of one part. What the look raises is a line, too."""
    try:
        found = look(context)
    except SchemaMismatch as error:
        return [Line(part, TO_DO, error.text)]
    except DatabaseUnavailable as error:
        return [Line(part, TO_DO, error.text, "start it, or correct its URL")]
    except ContactExportError as error:
        return [Line(part, TO_DO, error.text)]
    if isinstance(found, str):
        return [Line(part, OK, found)]
    return [Line(part, TO_DO, one.what, one.remedy) for one in found]


def check_database(database: Database) -> str:
    """The version of the server. Raises DatabaseUnavailable if it does not answer."""
    with database.transaction() as conn:
        return f"Postgres {queries('doctor').server(conn)['version']} answers"


def check_version(context: Context) -> str:
    """The versions of program and schema. Raises SchemaMismatch unless they fit."""
    for database in context.databases:
        migrate.check(database)
    return f"program {version('contactexport')}, schema {migrate.current_version(context.database)}"


def check_schema(context: Context) -> str | list[Finding]:
    """Tables, indexes and functions that are missing, and what others may add."""
    found = []
    for database in context.databases:
        found += [
            Finding(f"the schema {database.schema} lacks {part}", "docs/failures.md, Postgres")
            for part in migrate.differences(database)
        ]
        if migrate.schema_open_to_all(database):
            found.append(
                Finding(
                    f"every role may create functions in the schema {database.schema}, for this program to run",
                    f"run REVOKE CREATE ON SCHEMA {database.schema} FROM PUBLIC",
                )
            )
    return found or "no table, index or function is missing"


def check_rights(context: Context) -> str | list[Finding]:
    """What the program needs and the role may not do. Raises what a write would raise."""
    with context.database.transaction() as conn:
        names = schema_parts.taken_names(conn, context.database.schema)
        lacking = list(queries("doctor").lacking_rights(conn, names=names))
        user = conn.info.user
        if not lacking:
            writable.require_writable(conn)
            return f"{user} may read and write what the program needs"
    return [
        Finding(
            f"{user} lacks {one['rights']} on {one['name']}", f"run GRANT {one['rights']} ON {one['name']} TO {user}"
        )
        for one in lacking
    ]


def check_pooler(context: Context) -> str:
    """One that lends server processes to others is refused by every connection, and told of the database."""
    behind = []
    for database in context.databases:
        with database.transaction() as conn:
            behind.append(queries("doctor").server(conn)["process"] != conn.info.backend_pid)
    return "in session mode" if any(behind) else "none"


def check_contacts(context: Context) -> str | list[Finding]:
    """Changes of contacts that would not be logged, and contacts that cannot be read."""
    return capture_check.check(context) or "every change of contacts is logged"


def check_key(context: Context) -> str | list[Finding]:
    """The fingerprint of the key. Raises StorageUnfit if there is no key, or another one than before."""
    try:
        storage_check.require_storage(context)
    except StorageUnfit as unfit:
        if unfit.state in KEY_STATES:
            raise
    try:
        with context.database.transaction() as conn:
            manifests.require_readable(context, conn)
    except SecretUnreadable:
        return [
            Finding(
                "the key that signs manifests was stored under another key, so runs of feeds wait",
                "add that key after this one and a comma, or run `flask secrets manifest-key rotate`",
            )
        ]
    return f"fingerprint {context.secrets.fingerprints[0]}"


def check_storage(context: Context) -> str:
    """Where the files are. Raises StorageUnfit if it is not that of this installation."""
    storage_check.require_storage(context)
    return f"{context.storage.place} belongs to this installation"


def check_disk(context: Context) -> str | list[Finding]:
    """How much space is free for the files. An object store does not tell."""
    space = context.storage.space()
    if space is None:
        return f"none is needed: files are in {context.storage.place}"
    shown = f"{space.free / 1e9:.1f} GB of {space.total / 1e9:.1f} GB are free in {space.place}"
    if space.free < LEAST_FREE_BYTES or space.free * 100 < space.total * LEAST_FREE_PERCENT:
        return [Finding(f"only {shown}", "make room, or lower CONTACTEXPORT_RETENTION")]
    return shown


def check_broker(context: Context) -> str | list[Finding]:
    """Whether the broker answers. Without it exports wait."""
    try:
        context.queue.ping()
    except ContactExportError as error:
        return [Finding(error.text, "start it, or correct CONTACTEXPORT_BROKER_URL: until then exports wait")]
    return "answers"


def check_clock(context: Context) -> str | list[Finding]:
    """How far the clocks of this machine and of the database are apart."""
    with context.database.transaction() as conn:
        asked = time.time()
        moment = log.clock(conn).timestamp()
        answered = time.time()
    # Somewhere between the two the database has looked.
    apart = max(asked - moment, moment - answered, 0.0)
    if apart > CLOCK_SECONDS:
        return [
            Finding(f"the clocks of this machine and of the database are {apart:.0f} seconds apart", "run NTP on both")
        ]
    return f"less than {CLOCK_SECONDS:.0f} seconds from the database's"


def check_workers(context: Context) -> str | list[Finding]:
    """Known by their work only: workers answer no questions."""
    patience = OVERDUE_SECONDS + 2 * context.settings.sweep_interval
    with context.database.transaction() as conn:
        seen = queries("doctor").queue(conn, patience=patience)
    running, overdue = seen["running"], seen["overdue"]
    if overdue and not running:
        return [
            Finding(
                f"nobody works on exports, and some have been due for more than {patience:.0f} seconds: {overdue}",
                "start a worker: celery -A celery_worker worker (docs/operations.md, What runs where)",
            )
        ]
    return f"exports worked on: {running}, late: {overdue}" if running else "no export is late"

"""Databases full of contacts for the benchmarks. Each is created once and reused for the same number of contacts.

They are in an embedded Postgres under var/bench (`BENCH_FOLDER`) with its default configuration, or on the server of
`BENCH_DATABASE_URL`. The first contacts are those of `flask contacts sample`, the others are copies of them. Large
databases have no index on e-mail addresses: it takes long to create, exports never use it, and contacts change only in
small ones.
"""

import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import quote

import aiosql
import psycopg2
from psycopg2 import sql

import contactexport
from contactexport.context import Context
from contactexport.db import migrate
from contactexport.embedded import postgres, sample_contacts
from contactexport.settings import PREFIX, load_settings

PROJECT = Path(__file__).parent.parent
FORM = 123
SERVER_VARIABLE = "BENCH_DATABASE_URL"
START = datetime(2012, 1, 1, tzinfo=UTC)
END = datetime(2100, 1, 1, tzinfo=UTC)
ORIGINALS = 100_000
SETTLE_SECONDS = 60
FILE_COPY_FROM_VERSION = 150_000
MAX_WITH_EMAIL_INDEX = 500_000
MARK = "complete, version 16"  # another number creates every database again


def folder() -> Path:
    """The folder for all files of benchmarks."""
    made = Path(os.environ.get("BENCH_FOLDER", PROJECT / "var" / "bench")).absolute()
    made.mkdir(parents=True, exist_ok=True)
    return made


@contextmanager
def server() -> Iterator[str]:
    """URL of a Postgres where databases may be created. An embedded one runs until the block ends."""
    if url := os.environ.get(SERVER_VARIABLE):
        yield url
        return
    try:
        yield postgres.start(folder())
    finally:
        postgres.stop(folder())


@contextmanager
def database_of(server_url: str, contacts: int, upon: int = 0) -> Iterator[Context]:
    """The context of a database with so many contacts and one and a half changes each. It is created if it is missing.

    `upon` is a smaller database, which is created too if it is missing. The larger one then starts as a copy of its
    files, which takes less time.
    """
    name = _name(contacts)
    if not _is_complete(server_url, name):
        base = upon if upon >= ORIGINALS else 0  # a smaller one has no full set of originals to copy
        if base:
            with database_of(server_url, base):
                pass
        print(f"making {contacts:,} contacts …", flush=True)
        administer(server_url, "drop_database", name=sql.Identifier(name))
        create(server_url, name, _name(base) if base else "template0")
        with context_of(server_url, name) as context:
            _fill(context, contacts, base)
        administer(server_url, "mark_complete", name=sql.Identifier(name), mark=sql.Literal(MARK))
    with context_of(server_url, name) as context:
        yield context


@contextmanager
def copy_of(server_url: str, contacts: int) -> Iterator[Context]:
    """The same for a writable copy of such a database, which is dropped at the end."""
    with database_of(server_url, contacts):
        pass  # there must be no connection to the database that is copied
    name = f"{_name(contacts)}_copy"
    administer(server_url, "drop_database", name=sql.Identifier(name))
    create(server_url, name, _name(contacts))
    try:
        with context_of(server_url, name) as context:
            yield context
    finally:
        administer(server_url, "drop_database", name=sql.Identifier(name))


@contextmanager
def context_of(server_url: str, name: str) -> Iterator[Context]:
    """The context of a database. Its connections are closed at the end."""
    context = make_context(database_url(server_url, name), folder() / name)
    try:
        yield context
    finally:
        context.queue.close()
        context.database.close()


def window_with(context: Context, changed: int) -> tuple[datetime, datetime]:
    """[start, end) in which exactly so many contacts of the form have changed. Raises ValueError if there are fewer."""
    with context.database.transaction() as conn:
        last = queries().nth_change(conn, form=FORM, start=START, changed=changed)
    if last is None:
        raise ValueError(f"fewer than {changed:,} contacts of form {FORM} have changed")
    return START, last + timedelta(microseconds=1)


def make_context(url: str, data_dir: Path) -> Context:
    """The context of the program with default settings, whatever the shell's are."""
    context = contactexport.make_context(
        load_settings({}, {PREFIX + "DATABASE_URL": url, PREFIX + "DATA_DIR": str(data_dir)})
    )
    # Databases are reused from run to run. Each run has its own storage folder and secret key.
    with connected(url) as conn:
        queries().forget_installation(conn)
    return context


def database_url(server_url: str, name: str) -> str:
    """The URL of the server with another database name, and with the host where every tool looks for it."""
    parts = psycopg2.extensions.parse_dsn(server_url)
    user, password, host = (quote(parts.get(key, ""), safe="") for key in ("user", "password", "host"))
    credentials = f"{user}:{password}" if password else user
    port = f":{parts['port']}" if "port" in parts else ""
    return f"postgresql://{credentials}@{host}{port}/{name}"


def create(server_url: str, name: str, template: str) -> None:
    """Creates a database as a copy of another one. Its files are copied if the server can do so."""
    with connected(server_url) as conn:
        query = "copy_files" if conn.server_version >= FILE_COPY_FROM_VERSION else "create_database"
    administer(server_url, query, name=sql.Identifier(name), template=sql.Identifier(template))


def administer(server_url: str, query: str, **parts: sql.Composable) -> None:
    """Runs one of the templates of contacts.sql outside of a transaction."""
    statement = template(getattr(queries(), query)).format(**parts)
    with connected(server_url) as conn, conn.cursor() as cursor:
        cursor.execute(statement)


@contextmanager
def folder_of_many_files() -> Iterator[Path]:
    """A new folder in a part of the disk where hardly any files were deleted. It is deleted at the end.

    ext4 without a journal does not reuse the places of deleted files for minutes, and checks all of them whenever it
    creates a new file nearby. After thousands of deletions this takes longer than a request. +T of chattr(1) spreads
    folders over the disk.
    """
    spread = folder() / "spread"
    spread.mkdir(exist_ok=True)
    if program := shutil.which("chattr"):
        subprocess.run(
            [program, "+T", str(spread)], stderr=subprocess.DEVNULL, check=False
        )  # other file systems have no +T
    with tempfile.TemporaryDirectory(dir=spread) as made:
        yield Path(made)


def settle(server_url: str) -> None:
    """Flushes the writes of earlier runs to disk, since they would slow down the next measurement.

    Also waits until no autovacuum of Postgres runs, at most a minute.
    """
    os.sync()
    with connected(server_url) as conn:
        with suppress(psycopg2.errors.InsufficientPrivilege):
            queries().checkpoint(conn)
        give_up = time.monotonic() + SETTLE_SECONDS
        while queries().vacuums(conn) and time.monotonic() < give_up:
            time.sleep(0.5)


@contextmanager
def connected(url: str, **options: Any) -> Iterator[Any]:
    """A new connection in autocommit mode."""
    connection = psycopg2.connect(url, **options)
    connection.autocommit = True
    try:
        yield connection
    finally:
        connection.close()


@cache
def queries() -> Any:
    """The queries of contacts.sql."""
    return aiosql.from_path(Path(__file__).with_suffix(".sql"), "psycopg2", mandatory_parameters=False)


def template(query: Any) -> sql.SQL:
    """A query that names tables or columns in braces."""
    return sql.SQL(query.sql.rstrip().rstrip(";"))


def _name(contacts: int) -> str:
    return f"contactexport_bench_{contacts}"


def _is_complete(server_url: str, name: str) -> bool:
    with connected(server_url) as conn:
        return bool(queries().is_complete(conn, name=name, mark=MARK))


def _fill(context: Context, contacts: int, there: int) -> None:
    originals = min(contacts, ORIGINALS)
    if not there:
        migrate.upgrade(context.database)
        sample_contacts.generate(context.database, originals)
    if contacts > originals:
        numbers = {"originals": originals, "there": max(originals, there), "contacts": contacts}
        with ThreadPoolExecutor() as threads:
            for copied in [threads.submit(copy, context, numbers) for copy in (_copy_contacts, _copy_changes)]:
                copied.result()
    with context.database.session() as conn:
        if originals < contacts <= MAX_WITH_EMAIL_INDEX:
            queries().index_email(conn)
        queries().tidy(conn)


def _copy_contacts(context: Context, numbers: Mapping[str, int]) -> None:
    with context.database.transaction() as conn, conn.cursor() as cursor:
        columns = sql.SQL(", ").join(sql.Identifier(row["name"]) for row in queries().columns(conn))
        copy = template(queries().copy_contacts).format(columns=columns)
        queries().begin_copying(conn)
        originals, there = numbers["originals"], numbers["there"]
        for shift in range(there // originals * originals, numbers["contacts"], originals):
            cursor.execute(copy, {"shift": shift, **numbers})
        queries().end_copying(conn)


def _copy_changes(context: Context, numbers: Mapping[str, int]) -> None:
    with context.database.transaction() as conn:
        queries().copy_changes(conn, start=START, **numbers)

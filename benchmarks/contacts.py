"""Databases full of contacts for the benchmarks, each made once and kept for the next one that wants as many.

They lie in an embedded Postgres under var/bench (`BENCH_FOLDER`), configured as it comes, or on the server that
`BENCH_DATABASE_URL` names. The first contacts are those of `flask contacts sample`, the others are copies of them.
Large databases lack the index on e-mail addresses: it takes long to make, exports never use it, and contacts are
changed in small ones only.
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
from contactexport.backend import Backend
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
MOST_WITH_EMAIL_INDEX = 500_000
MARK = "complete, version 14"  # another one makes every database anew


def folder() -> Path:
    """Where benchmarks keep what they make."""
    made = Path(os.environ.get("BENCH_FOLDER", PROJECT / "var" / "bench")).absolute()
    made.mkdir(parents=True, exist_ok=True)
    return made


@contextmanager
def server() -> Iterator[str]:
    """URL of a Postgres in which databases may be made; an embedded one runs as long as the block."""
    if url := os.environ.get(SERVER_VARIABLE):
        yield url
        return
    try:
        yield postgres.start(folder())
    finally:
        postgres.stop(folder())


@contextmanager
def database_of(server_url: str, contacts: int, upon: int = 0) -> Iterator[Backend]:
    """The backend around a database with so many contacts and one and a half changes each, made if it is not there.

    One that is made `upon` a smaller one, which is made too if it is not there, starts as a copy of its files; that
    takes less time.
    """
    name = _name(contacts)
    if not _is_complete(server_url, name):
        base = upon if upon >= ORIGINALS else 0  # fewer have no full set of originals to go on with
        if base:
            with database_of(server_url, base):
                pass
        print(f"making {contacts:,} contacts …", flush=True)
        administer(server_url, "drop_database", name=sql.Identifier(name))
        create(server_url, name, _name(base) if base else "template0")
        with backend_of(server_url, name) as backend:
            _fill(backend, contacts, base)
        administer(server_url, "mark_complete", name=sql.Identifier(name), mark=sql.Literal(MARK))
    with backend_of(server_url, name) as backend:
        yield backend


@contextmanager
def copy_of(server_url: str, contacts: int) -> Iterator[Backend]:
    """The same for a copy of such a database, to be written to; dropped at the end."""
    with database_of(server_url, contacts):
        pass  # nobody may be connected to what is copied
    name = f"{_name(contacts)}_copy"
    administer(server_url, "drop_database", name=sql.Identifier(name))
    create(server_url, name, _name(contacts))
    try:
        with backend_of(server_url, name) as backend:
            yield backend
    finally:
        administer(server_url, "drop_database", name=sql.Identifier(name))


@contextmanager
def backend_of(server_url: str, name: str) -> Iterator[Backend]:
    """The backend around a database, its connections closed at the end."""
    backend = make_backend(database_url(server_url, name), folder() / name)
    try:
        yield backend
    finally:
        backend.queue.close()
        backend.database.close()


def window_with(backend: Backend, changed: int) -> tuple[datetime, datetime]:
    """[start, end) in which exactly so many contacts of the form have changed. Raises ValueError if there are fewer."""
    with backend.database.transaction() as conn:
        last = queries().nth_change(conn, form=FORM, start=START, changed=changed)
    if last is None:
        raise ValueError(f"fewer than {changed:,} contacts of form {FORM} have changed")
    return START, last + timedelta(microseconds=1)


def make_backend(url: str, data_dir: Path) -> Backend:
    """The parts the services work with, with default settings whatever the shell's are."""
    return contactexport.make_backend(
        load_settings({}, {PREFIX + "DATABASE_URL": url, PREFIX + "DATA_DIR": str(data_dir)})
    )


def database_url(server_url: str, name: str) -> str:
    """The server's URL with another database name, the host in the place where every tool looks for it."""
    parts = psycopg2.extensions.parse_dsn(server_url)
    user, password, host = (quote(parts.get(key, ""), safe="") for key in ("user", "password", "host"))
    credentials = f"{user}:{password}" if password else user
    port = f":{parts['port']}" if "port" in parts else ""
    return f"postgresql://{credentials}@{host}{port}/{name}"


def create(server_url: str, name: str, template: str) -> None:
    """A database that begins as a copy of another one; the files are copied where the server can do so."""
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
    """A new folder, removed at the end, in a part of the disk in which hardly any files have been deleted.

    ext4 without a journal leaves the places of deleted files alone for minutes, and looks at all of them whenever it
    makes a new file near by: after thousands that takes longer than a request. +T of chattr(1) has folders spread.
    """
    spread = folder() / "spread"
    spread.mkdir(exist_ok=True)
    if program := shutil.which("chattr"):
        subprocess.run([program, "+T", str(spread)], stderr=subprocess.DEVNULL, check=False)  # other systems have no +T
    with tempfile.TemporaryDirectory(dir=spread) as made:
        yield Path(made)


def settle(server_url: str) -> None:
    """Has disk and Postgres write what others have left to them, since that slows down whatever is measured next; waits
    as well, a minute at most, until Postgres vacuums nothing by itself.
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
    """An autocommit connection of its own."""
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


def _fill(backend: Backend, contacts: int, there: int) -> None:
    originals = min(contacts, ORIGINALS)
    if not there:
        migrate.upgrade(backend.database)
        sample_contacts.generate(backend.database, originals)
    if contacts > originals:
        numbers = {"originals": originals, "there": max(originals, there), "contacts": contacts}
        with ThreadPoolExecutor() as threads:
            for copied in [threads.submit(copy, backend, numbers) for copy in (_copy_contacts, _copy_changes)]:
                copied.result()
    with backend.database.session() as conn:
        if originals < contacts <= MOST_WITH_EMAIL_INDEX:
            queries().index_email(conn)
        queries().tidy(conn)


def _copy_contacts(backend: Backend, numbers: Mapping[str, int]) -> None:
    with backend.database.transaction() as conn, conn.cursor() as cursor:
        columns = sql.SQL(", ").join(sql.Identifier(row["name"]) for row in queries().columns(conn))
        copy = template(queries().copy_contacts).format(columns=columns)
        queries().begin_copying(conn)
        originals, there = numbers["originals"], numbers["there"]
        for shift in range(there // originals * originals, numbers["contacts"], originals):
            cursor.execute(copy, {"shift": shift, **numbers})
        queries().end_copying(conn)


def _copy_changes(backend: Backend, numbers: Mapping[str, int]) -> None:
    with backend.database.transaction() as conn:
        queries().copy_changes(conn, start=START, **numbers)

"""Exports of an adopted schema, window after window while others write, keep a copy that equals the source."""

import csv
import io
import random
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg2
import pytest

from contactexport.adopt.apply import apply
from contactexport.context import Context
from contactexport.exports import deliver
from contactexport.exports.models import ALL_TIME, ExportSettings
from tests.support.adopted_schemas import SCHEMAS, AdoptedSchema
from tests.support.exporting import execute, request, run, settings_for
from tests.support.random_walk import Walk

WINDOWS = 8
WRITERS = 2
FAR = ALL_TIME[1]
QUICKLY = {("shop", "form"), ("newsletter", "all")}


@contextmanager
def writers(context: Context, schema: AdoptedSchema, seed: int) -> Iterator[None]:
    """Threads that change the tables at random until the block ends. Some transactions stay open for a while."""
    stop = threading.Event()
    threads = [
        threading.Thread(target=write, args=(context.database.url, schema, random.Random(seed + number), stop))
        for number in range(WRITERS)
    ]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        stop.set()
        for thread in threads:
            thread.join()


def write(url: str, schema: AdoptedSchema, rng: random.Random, stop: threading.Event) -> None:
    connection = psycopg2.connect(url)
    walk = Walk(connection, schema, rng)
    while not stop.wait(0.002):
        try:
            for _ in range(rng.randint(1, 4)):
                walk.change_something()
                stop.wait(rng.choice([0, 0, 0.01]))
        # Postgres also fails who meets a row that another session moves to another partition.
        except (psycopg2.errors.DeadlockDetected, psycopg2.errors.SerializationFailure):
            connection.rollback()
        if rng.random() < 0.1:
            connection.rollback()
        else:
            connection.commit()
    connection.close()


def exported(context: Context, settings: ExportSettings) -> tuple[list[list[str]], object]:
    export = run(context, request(context, settings))
    assert export.status == "done", export.error
    text = deliver.stored_file(context, export).read_text(encoding="utf-8")
    return list(csv.reader(io.StringIO(text))), export.effective_until


def next_window(context: Context, wanted: dict, mirror: dict[str, list[str]], start: object) -> object:
    """Applies the changes since `start` to the copy, each contact once. Returns the start of the next window."""
    rows, until = exported(context, settings_for(**wanted, start=start, end=FAR, removed=True))
    assert len({row[0] for row in rows}) == len(rows)
    for row in rows:
        if row[-1] == "changed":
            mirror[row[0]] = row[1:-2]
        else:
            mirror.pop(row[0], None)
    return until


@pytest.mark.timeout(300)
@pytest.mark.parametrize(
    ("name", "origin"),
    [
        pytest.param(name, origin, marks=() if (name, origin) in QUICKLY else pytest.mark.slow)
        for name in SCHEMAS
        for origin in ("form", "all")
    ],
)
def test_consecutive_exports_keep_a_copy_equal_while_others_write(context: Context, name: str, origin: str):
    schema = SCHEMAS[name]
    execute(context, "DELETE FROM contact_field; DELETE FROM origin")
    execute(context, schema.ddl)
    with psycopg2.connect(context.database.url) as connection:
        walk = Walk(connection, schema, random.Random(1))
        for _ in range(200):
            walk.insert_somewhere()
    connection.close()
    apply(context, schema.plan, first_export=True)
    wanted = {
        "origin": origin,
        "origin_ids": (1, 2) if origin == "form" else (),
        "contact_fields": tuple(field.id for field in schema.plan.fields),
    }
    mirror: dict[str, list[str]] = {}
    start: object = ALL_TIME[0]
    with writers(context, schema, seed=3):
        for _ in range(WINDOWS):
            start = next_window(context, wanted, mirror, start)
    next_window(context, wanted, mirror, start)
    full = settings_for(**wanted, start=ALL_TIME[0], end=FAR, type="full", may_end_early=True)
    source, _until = exported(context, full)
    assert mirror == {row[0]: row[1:-1] for row in source}
    logged = execute(context, "SELECT count(*) AS n FROM contact_change")[0]["n"]
    assert logged > 3 * len(source)

"""The file that every tool has to write, made independently: by plain reads, dictionaries and csv.writer."""

import csv
import hashlib
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

from contacts import FORM
from psycopg2.extensions import cursor as tuple_cursor
from tools.job import FIELDS, HEADER

from contactexport.db.connection import Connection, Database
from contactexport.embedded import sample_catalogue

CHANGES = """
SELECT contact_id, changed_at FROM contact_change
WHERE origin_kind = 'form' AND origin_id = %s AND changed_at >= %s AND changed_at < %s
"""
CONTACTS = """
SELECT id, {columns} FROM contact
WHERE origin_kind = 'form' AND origin_id = %s
  AND id IN (SELECT contact_id FROM contact_change WHERE changed_at >= %s AND changed_at < %s)
ORDER BY id
"""


class WrongFile(Exception):
    """A tool has written other rows or values than expected."""


@dataclass(frozen=True)
class ExpectedFile:
    """The number of data rows, the SHA-256 of the bytes, and that of the lines sorted by their bytes."""

    rows: int
    sha256: str
    sorted_sha256: str


def make(database: Database, start: datetime, end: datetime, file: Path) -> ExpectedFile:
    """Writes the file of the contacts of the form that changed in [start, end)."""
    with database.session(snapshot=True) as conn:
        latest: dict[int, datetime] = {}
        for contact_id, changed_at in _read(conn, CHANGES, FORM, start, end):
            latest[contact_id] = max(changed_at, latest.get(contact_id, changed_at))
        contacts = _read(conn, CONTACTS.format(columns=", ".join(FIELDS.values())), FORM, start, end)
        rows = _write(file, (_values(contact, latest[contact[0]]) for contact in contacts if contact[0] in latest))
    return ExpectedFile(rows, _sha256(file), _sorted_sha256(file))


def difference(file: Path, expected: ExpectedFile) -> str:
    """How the file of a tool differs without harm: not at all, in its order, or in its quoting.

    Raises WrongFile if it has other rows or other values.
    """
    found = _difference_as_it_is(file, expected)
    if found is None:
        rewritten = file.with_suffix(".rewritten")
        with file.open(encoding="utf-8", newline="") as content:
            lines = _write(rewritten, csv.reader(content), header=False)
        found = _difference_as_it_is(rewritten, expected)
        rewritten.unlink()
        if found is None:
            raise WrongFile(f"{file}: {lines - 1:,} rows, other ones than the {expected.rows:,} expected")
        found = ", ".join(filter(None, ["other quoting", found]))
    return found


def _difference_as_it_is(file: Path, expected: ExpectedFile) -> str | None:
    if _sha256(file) == expected.sha256:
        return ""
    return "other order" if _sorted_sha256(file) == expected.sorted_sha256 else None


def _read(conn: Connection, statement: str, *parameters: object) -> Iterator[tuple[Any, ...]]:
    with conn.cursor("expected", cursor_factory=tuple_cursor) as cursor:
        cursor.itersize = 10_000
        cursor.execute(statement, parameters)
        yield from cursor


@cache
def _labels() -> dict[int, dict[int, str]]:
    groups = json.loads((sample_catalogue.FOLDER / "choices.json").read_text(encoding="utf-8"))
    return {
        field_id: {choice["id"]: choice["labels"]["en"] for choice in group["choices"]}
        for group in groups
        for field_id in group["field_ids"]
    }


def _values(contact: tuple[Any, ...], changed_at: datetime) -> list[Any]:
    contact_id, *values = contact
    shown = [
        _labels()[field_id].get(value, value) if field_id in _labels() else value
        for field_id, value in zip(FIELDS, values, strict=True)
    ]
    return [contact_id, *shown, f"{changed_at.astimezone(UTC):%Y-%m-%d %H:%M:%S}"]


def _write(file: Path, rows: Iterable[list[Any]], *, header: bool = True) -> int:
    written = 0
    with file.open("w", encoding="utf-8", newline="") as content:
        writer = csv.writer(content, lineterminator="\n")
        if header:
            writer.writerow(HEADER)
        for row in rows:
            writer.writerow(row)
            written += 1
    return written


def _sha256(file: Path) -> str:
    with file.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()


def _sorted_sha256(file: Path) -> str:
    digest = hashlib.sha256()
    with file.open("rb") as content:
        for line in sorted(content):
            digest.update(line)
    return digest.hexdigest()

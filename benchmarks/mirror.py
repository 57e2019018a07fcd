"""Applies a file of a feed to a mirror in Postgres by examples/mirror, and the same rows by a plain COPY, in turns.

    python benchmarks/mirror.py --scale 0.1

1.00 is as fast as the COPY into an empty table like that of the mirror. The aim is 0.5 or more.
"""

import argparse
import csv
import hashlib
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Iterable
from pathlib import Path

import contacts
import psycopg2
import results
from psycopg2.extensions import connection

sys.path.insert(0, str(contacts.PROJECT / "examples" / "mirror"))

import to_postgres

ROWS = 1_000_000
NAMES = ["user_id", "First Name", "Last Name", "E-Mail", "Street", "City", "Phone", "Loyalty number", "last update"]
CREATE = "CREATE TABLE plain ({}, PRIMARY KEY (user_id))"
FULL, NEW, KNOWN = "a file of every contact", "a file of new contacts", "a file of known contacts"


def main() -> None:
    """Compares both and stores the table `mirror`."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scale", type=float, default=1, help="1: 1,000,000 rows")
    parser.add_argument("--rounds", type=int, default=5, help="runs of each; the median one counts")
    options = parser.parse_args()
    rows = max(round(ROWS * options.scale), 100)
    seconds: dict[str, list[float]] = {name: [] for name in (FULL, NEW, KNOWN, "plain COPY")}
    with (
        contacts.server() as server,
        contacts.copy_of(server, 1000) as context,
        tempfile.TemporaryDirectory() as made,
        contacts.connected(context.database.url) as own,
    ):
        own.autocommit = False
        plain, file = Path(made, "plain.csv"), Path(made, "file.csv")
        _write(plain, NAMES, rows, ())
        _write(file, [*NAMES, "change"], rows, ("changed",))
        mirror = _Mirror(own, file)
        for _ in range(options.rounds):
            seconds["plain COPY"].append(_copy(own, plain))
            seconds[FULL].append(mirror.apply(full=True))
            seconds[KNOWN].append(mirror.apply(full=False))
            _run(own, "TRUNCATE mirror")
            seconds[NEW].append(mirror.apply(full=False))
            mirror.require(rows)
    _save({name: statistics.median(taken) for name, taken in seconds.items()}, rows, options.rounds)


class _Mirror:
    """Applies one file again and again, each time as the next of its feed."""

    def __init__(self, conn: connection, file: Path) -> None:
        self._conn = conn
        self._file = file
        self._sha256 = hashlib.sha256(file.read_bytes()).hexdigest()
        self._number = 0
        self._previous: str | None = None

    def apply(self, *, full: bool) -> float:
        """Returns the seconds. Hashing the file is part of them."""
        self._number += 1
        manifest = {
            "feed": "nightly",
            "export": self._number,
            "file": self._file.name,
            "window": {"start": None if full else "2026-01-01", "end": "2026-01-02"},
            "columns": [[None, name] for name in (*NAMES, "change")],
            "sha256": self._sha256,
            "previous": self._previous,
        }
        text = json.dumps(manifest)
        self._previous = hashlib.sha256(text.encode()).hexdigest()
        began = time.perf_counter()
        if not to_postgres.apply(self._conn, "mirror", text, self._file):
            raise SystemExit("not applied")
        return time.perf_counter() - began

    def require(self, rows: int) -> None:
        with self._conn, self._conn.cursor() as cursor:
            cursor.execute("SELECT count(*) FROM mirror")
            if cursor.fetchone() != (rows,):
                raise SystemExit("the mirror has other rows")


def _write(path: Path, names: list[str], rows: int, last: Iterable[str]) -> None:
    with path.open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(names)
        for n in range(rows):
            address = (f"contact{n}@example.net", f"Street {n % 9000}", f"City {n % 300}", f"+43 1 {n}")
            writer.writerow(
                (n, f"First {n % 1000}", f"Last {n % 5000}", *address, f"L-{n:09}", "2026-01-01 02:03:04", *last)
            )


def _copy(conn: psycopg2.extensions.connection, file: Path) -> float:
    _run(conn, "DROP TABLE IF EXISTS plain")
    _run(conn, CREATE.format(", ".join(f'"{name}" text' for name in NAMES)))
    began = time.perf_counter()
    with conn, conn.cursor() as cursor, file.open("rb") as rows:
        cursor.copy_expert("COPY plain FROM STDIN (FORMAT csv, HEADER)", rows)
    return time.perf_counter() - began


def _run(conn: connection, statement: str) -> None:
    with conn, conn.cursor() as cursor:
        cursor.execute(statement)


def _save(seconds: dict[str, float], rows: int, rounds: int) -> None:
    plain = seconds["plain COPY"]
    found = tuple(
        results.Row(name, taken, "s", plain / taken, "at least 0.5" if name in (FULL, NEW) else "")
        for name, taken in seconds.items()
    )
    about = (
        f"{rows:,} rows of {len(NAMES)} columns; the median of {rounds} runs of each counts. "
        "With known contacts each row replaces one that is there, which COPY cannot do."
    )
    results.save(results.Table("mirror", "Applying a file to a mirror", about, "speed against COPY", found))


if __name__ == "__main__":
    main()

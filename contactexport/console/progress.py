"""How far a running export has come: rows of the expected ones, rate, time left."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

SETTLED_SECONDS = 1.0


@dataclass(frozen=True)
class Progress:
    """`rows` of `expected`, which is an estimate. `rate` is in rows a second. None: not known yet."""

    rows: int
    expected: int
    rate: float | None
    seconds_left: float | None

    @property
    def percent(self) -> int:
        """0 to 99: only the finished file has all."""
        return min(99, 100 * self.rows // max(self.expected, 1))


def of_export(row: Mapping[str, Any]) -> Progress | None:
    """The progress of the running attempt. None: it writes no rows now."""
    begun, written_at, claimed = row["rows_begun_at"], row["rows_written_at"], row["claimed_at"]
    if row["status"] != "in progress" or begun is None or written_at is None or claimed is None or begun < claimed:
        return None
    rows, expected = row["rows_written"] or 0, row["rows_expected"] or 0
    seconds = (written_at - begun).total_seconds()
    rate = rows / seconds if rows and seconds >= SETTLED_SECONDS else None
    left = max(expected - rows, 0) / rate if rate else None
    return Progress(rows, expected, rate, left)


def version_of(*values: object) -> str:
    """Changes when what a part of a page shows changes. So a part that reloads itself is drawn only then."""
    return hashlib.sha256(repr(values).encode()).hexdigest()[:16]

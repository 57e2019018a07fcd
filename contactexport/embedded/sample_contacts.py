"""Believable, reproducible contacts with a history of changes, made inside the database.

The changes are spread over the year 2012 and over the last 60 days. The same seed gives the same values for the same
contact ids on every Postgres version; the recent changes move on with the day.
"""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from contactexport.db import sample_repository
from contactexport.db.connection import Database
from contactexport.embedded import sample_catalogue, sample_pools

BATCH = 100_000  # contacts in one transaction


@dataclass(frozen=True)
class Generated:
    """How many contacts and changes were written."""

    contacts: int
    changes: int


def generate(
    database: Database, contacts: int, seed: int = 1, on_progress: Callable[[int], None] = lambda _: None
) -> Generated:
    """Loads the sample catalogue and appends contacts; `on_progress` is told how many are committed so far.

    Every batch is whole, contacts and changes, whenever the process is stopped.
    Raises UsageError when `contact` is not this program's own table or Faker is missing.
    """
    sample_catalogue.load(database)
    if contacts == 0:
        return Generated(0, 0)
    pools = sample_pools.make_pools(seed)
    changes = 0
    with database.session() as conn:
        with conn:
            today = sample_repository.prepare_session(conn, pools.locales, pools.people, pools.places)
        values = _values(seed) | {"today": today}
        for done in range(0, contacts, BATCH):
            size = min(BATCH, contacts - done)
            with conn:
                changes += sample_repository.insert_batch(conn, size, values)
            on_progress(done + size)
        sample_repository.update_statistics(conn)
    return Generated(contacts, changes)


def _values(seed: int) -> dict[str, Any]:
    digest = hashlib.sha256(str(seed).encode()).digest()
    return {
        "seed": int.from_bytes(digest[:6], "big"),
        "locales": sample_pools.weighted_locales(),
        "pool_size": sample_pools.POOL_SIZE,
        **sample_catalogue.choice_ids_by_column(),
    }

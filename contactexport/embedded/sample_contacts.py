"""Creates believable, reproducible contacts with a history of changes inside the database.

The changes are spread over the year 2012 and over the last 60 days. The same seed gives the same values for the same
contact ids on every Postgres version. Only the recent changes depend on the date.
"""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass

from contactexport.db.connection import Database
from contactexport.embedded import sample_catalogue, sample_pools, sample_store

BATCH = 100_000  # contacts in one transaction


@dataclass(frozen=True)
class Generated:
    """How many contacts and changes were written."""

    contacts: int
    changes: int


def generate(
    database: Database, contacts: int, seed: int = 1, on_progress: Callable[[int], None] = lambda _: None
) -> Generated:
    """Loads the sample catalogue and appends contacts. Calls `on_progress` with the number committed so far.

    Each batch of contacts and changes is one transaction, so stopping the process leaves whole batches.
    Raises UsageError if `contact` is not the table of this program, or if Faker is missing.
    """
    sample_catalogue.load(database)
    if contacts == 0:
        return Generated(0, 0)
    pools = sample_pools.make_pools(seed)
    changes = 0
    with database.session() as conn:
        with conn:
            today = sample_store.prepare_session(conn, pools.locales, pools.people, pools.places)
        values = {
            "seed": int.from_bytes(hashlib.sha256(str(seed).encode()).digest()[:6], "big"),
            "today": today,
            "locales": sample_pools.weighted_locales(),
            "pool_size": sample_pools.POOL_SIZE,
            **sample_catalogue.choice_ids_by_column(),
        }
        for done in range(0, contacts, BATCH):
            size = min(BATCH, contacts - done)
            with conn:
                changes += sample_store.insert_batch(conn, size, values)
            on_progress(done + size)
        sample_store.update_statistics(conn)
    return Generated(contacts, changes)

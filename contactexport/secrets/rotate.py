"""Encrypts every stored secret with the first key, so that the other keys can be removed."""

from contactexport.context import Context
from contactexport.errors import SecretUnreadable
from contactexport.files import storage_check
from contactexport.secrets.encrypt_urls import encrypt_urls
from contactexport.secrets.store import COLUMNS

BATCH = 500


def rotate_secrets(context: Context) -> tuple[int, list[str]]:
    """Re-encrypts WSSE secrets, FTP passwords and notification URLs.

    Returns how many were re-encrypted, and the owners of those that no key can decrypt. If there are no such owners,
    the first key becomes the key of the installation.

    Each batch is one transaction: it is safe to interrupt and repeat, and no row is locked for long.
    """
    encrypt_urls(context)
    rotated, unreadable = 0, list[str]()
    for column in COLUMNS:
        last_id: int | None = 0
        while last_id is not None:
            with context.database.transaction() as conn:
                batch = column.lock_batch(conn, last_id, BATCH)
                for stored in batch:
                    try:
                        column.store(conn, stored.id, context.secrets.rotate(stored.secret))
                    except SecretUnreadable:
                        unreadable.append(stored.owner)
            rotated += len(batch)
            last_id = batch[-1].id if batch else None
    if not unreadable:
        with context.database.transaction() as conn:
            storage_check.note_key(conn, context.secrets.fingerprints[0])
    return rotated - len(unreadable), unreadable

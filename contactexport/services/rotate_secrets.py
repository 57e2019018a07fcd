"""Puts every stored secret under the first key, so that the other keys may go."""

from contactexport.backend import Backend
from contactexport.db import installation_repository
from contactexport.db.secret_repository import COLUMNS, SecretColumn, StoredSecret
from contactexport.errors import SecretUnreadable
from contactexport.services.encrypt_urls import encrypt_urls

BATCH = 500


def rotate_secrets(backend: Backend) -> tuple[int, list[str]]:
    """Re-encrypts WSSE secrets, FTP passwords and notification URLs.

    Returns how many, and the owners of those that no key fits.

    If none is left, the first key is that of the installation from now on.

    One transaction a batch: safe to break off and run again, and nobody waits long for a row.
    """
    encrypt_urls(backend)  # that were stored before they were encrypted
    rotated, unreadable = 0, list[str]()
    for column in COLUMNS:
        last = 0
        while batch := _rotate_batch(backend, column, last, unreadable):
            rotated += len(batch)
            last = batch[-1].id
    if not unreadable:
        with backend.database.transaction() as conn:
            installation_repository.note_key(conn, backend.secrets.fingerprints()[0])
    return rotated - len(unreadable), unreadable


def _rotate_batch(backend: Backend, column: SecretColumn, after: int, unreadable: list[str]) -> list[StoredSecret]:
    with backend.database.transaction() as conn:
        batch = column.lock_batch(conn, after, BATCH)
        for stored in batch:
            try:
                column.store(conn, stored.id, backend.secrets.rotate(stored.secret))
            except SecretUnreadable:
                unreadable.append(stored.owner)
    return batch

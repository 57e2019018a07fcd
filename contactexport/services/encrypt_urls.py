"""Encrypts notification URLs with credentials that an older version of the program has stored as they were."""

from contactexport.backend import Backend
from contactexport.db import secret_repository
from contactexport.hidden_url import hidden

BATCH = 500


def encrypt_urls(backend: Backend) -> int:
    """Returns how many there were; a key is needed, and made, only then. Safe to break off and to run again."""
    encrypted, last = 0, 0
    while True:
        with backend.database.transaction() as conn:
            batch = secret_repository.lock_urls(conn, last, BATCH)
            for export_id, url in batch:
                last = export_id
                if hidden(url) != url:
                    secret_repository.hide_url(conn, export_id, hidden(url), backend.secrets.encrypt(url))
                    encrypted += 1
        if not batch:
            return encrypted

"""Encrypts notification URLs with credentials that an older version has stored in plain text."""

from contactexport.context import Context
from contactexport.secrets import store
from contactexport.secrets.hidden_url import hidden

BATCH = 500


def encrypt_urls(context: Context) -> int:
    """Encrypts them all and returns how many. A key is needed only if there are any. Safe to interrupt and repeat."""
    encrypted, last_id = 0, 0
    while True:
        with context.database.transaction() as conn:
            batch = store.lock_urls(conn, last_id, BATCH)
            for export_id, url in batch:
                last_id = export_id
                if hidden(url) != url:
                    store.hide_url(conn, export_id, hidden(url), context.secrets.encrypt(url))
                    encrypted += 1
        if not batch:
            return encrypted

"""Tells the receiver of the notification URL that an export has finished (docs/notifications.md).

The export itself is finished and stays as it is, whatever becomes of the notification. If the process dies while one
is being sent, it is sent again under the same Idempotency-Key: the next due time was written first.
"""

from contactexport import audit_log
from contactexport.backend import Backend
from contactexport.db import notification_repository
from contactexport.delivery import notify as delivery
from contactexport.errors import DeliveryFailed, SecretUnreadable, SettingsError
from contactexport.models import Export
from contactexport.services import track_export

# After 1, 1, 1, 1, 1, 5, 15 and 60 minutes, then hourly.
RETRY_SECONDS = (60, 60, 60, 60, 60, 300, 900, 3600)


def publish_due(backend: Backend, export: Export | None) -> None:
    """Wakes a worker when the export has just finished and asks for a notification; the sweep would do it too."""
    if export is not None and export.notify_due_at is not None:
        backend.queue.publish_notification(export.id)


def notify(backend: Backend, export_id: int, answer_seconds: float = delivery.ANSWER_SECONDS) -> None:
    """Sends the notification of an export if it is due, and notes how that went. Raises DatabaseUnavailable."""
    with backend.database.transaction() as conn:
        export = notification_repository.claim(conn, export_id, RETRY_SECONDS)
    if export is None:
        return
    try:
        _send(backend, export, answer_seconds)
    except (DeliveryFailed, SecretUnreadable, SettingsError) as failure:
        _failed(backend, export, failure.text)
    else:
        _sent(backend, export)


def signing_key(backend: Backend) -> str:
    """The key that signs notifications, as the receivers get it. Raises SettingsError."""
    return backend.secrets.derived_key("notification")


def _send(backend: Backend, export: Export, answer_seconds: float) -> None:
    receiver = delivery.receiver(_url(backend, export))
    notification = delivery.Notification(
        payload=track_export.payload(backend, export),
        idempotency_key=f"export-{export.id}-{export.status}-{export.attempt}",
        signing_key=signing_key(backend),
    )
    address = backend.guard.resolve(receiver.host, receiver.port)
    delivery.send(notification, receiver, address, answer_seconds=answer_seconds)


def _url(backend: Backend, export: Export) -> str:
    if export.notify_secret is not None:
        return backend.secrets.decrypt(export.notify_secret)
    return export.settings.notification_url or ""


def _sent(backend: Backend, export: Export) -> None:
    with backend.database.transaction() as conn:
        notification_repository.note_sent(conn, export)
    audit_log.note("notification sent", export=export.id, attempt=export.notify_attempts)


def _failed(backend: Backend, export: Export, reason: str) -> None:
    with backend.database.transaction() as conn:
        notification_repository.note_failed(conn, export, reason, backend.settings.notification_limit)
    audit_log.note("notification failed", export=export.id, attempt=export.notify_attempts, error=reason)

"""Retries an export that ended in error: delivers its file again, or starts anew if there is none."""

import logging
from dataclasses import replace

from contactexport.context import Context
from contactexport.db.connection import Connection
from contactexport.delivery.webhook import receiver
from contactexport.errors import DeliveryFailed, ExportAlreadyRunning, FileDamaged, UsageError
from contactexport.exports import lock, store
from contactexport.exports.accept import BUSY_LOCK_SECONDS, already_running, require_few_unfinished
from contactexport.exports.deliver import refusal
from contactexport.exports.models import Export, ExportStatus
from contactexport.feeds import store as feed_store
from contactexport.queue.publisher import DELIVER, RUN_EXPORT
from contactexport.secrets.hidden_url import has_secrets, hidden

logger = logging.getLogger(__name__)


def lacks_url(export: Export) -> bool:
    """True when the secrets of the notification URL were wiped, which happens once the receiver was notified."""
    url = export.settings.notification_url
    return url is not None and export.notify_secret is None and has_secrets(url) and hidden(url) == url


def retry(
    context: Context,
    export_id: int,
    ftp_password: str | None,
    ftp_username: str | None = None,
    notification_url: str | None = None,
    *,
    most_unfinished: int | None = None,
) -> Export:
    """Makes an export in error due now, with new FTP or SFTP credentials if given, and wakes a worker.

    `ftp_password` is the FTP password, or the text of the SFTP credentials. It was wiped when the export ended, so it
    must be given again. So must a notification URL whose
    secrets were wiped. An empty URL means: no notification. A run of a feed takes both from the feed.
    `most_unfinished` counts for the user who asked for the export, as when it was accepted. None: no limit. Raises
    UnknownExport, ExportAlreadyRunning, TooManyRequests, and UsageError when the export is not in error or lacks one of
    these.
    """
    with context.database.transaction() as conn:
        export = store.get(conn, export_id)
    if export.status is not ExportStatus.ERROR:
        raise UsageError(f"Export {export_id} is {export.status}: only an export in error can be retried")
    if refused := refusal(context.settings, export.settings.remote):
        raise UsageError(f"Export {export_id}: {refused}")
    ftp_secret = None if ftp_password is None else context.secrets.encrypt(ftp_password)
    if export.feed_id is None:
        export = _with_changes(context, export, ftp_username, notification_url)
        if export.settings.remote is not None and ftp_secret is None:
            method, secret = ("FTP", "password") if export.settings.ftp else ("SFTP", "password or private key")
            raise UsageError(f"Export {export_id} goes by {method} and its {secret} was wiped: give it again")
        if lacks_url(export):
            raise UsageError(
                f"Export {export_id} has a notification URL that was wiped: give it again, or an empty one"
            )
    try:
        with context.database.transaction() as conn:
            if export.feed_id is not None:
                export, ftp_secret = _with_secrets_of_feed(conn, export, export.feed_id)
            lock.require_for_transaction(conn, export.setting_key, BUSY_LOCK_SECONDS)
            require_few_unfinished(conn, export, most_unfinished)
            revived = store.retry(conn, export, ftp_secret, has_file=_has_file(context, export))
    except ExportAlreadyRunning:
        raise already_running(context, export.setting_key, export.team) from None
    # If the broker does not take the message, the sweep wakes a worker.
    context.queue.publish(DELIVER if revived.waits_for_delivery else RUN_EXPORT)
    return revived


def _with_secrets_of_feed(conn: Connection, export: Export, feed_id: int) -> tuple[Export, bytes | None]:
    """A run of a feed needs no secrets again. Raises UsageError unless it is still the one that the feed needs next.

    Otherwise two files would have the same number, and a window would be exported again behind a later one.
    """
    feed = feed_store.locked(conn, feed_id)
    if feed is None:
        raise UsageError(f"Export {export.id} belongs to the feed {export.feed_name}, which was deleted")
    wanted, had = (replace(one, notification_url=None) for one in (feed.run_settings, export.settings))
    is_newest = feed_store.newest_export(conn, feed) == export.id
    if not is_newest or export.feed_sequence != feed.sequence + 1 or had != wanted:
        raise UsageError(
            f"Export {export.id} was run {export.feed_sequence} of the feed {feed.name}, which has gone on or was "
            f"changed since: `flask feeds run {feed.name}` starts a new run"
        )
    return replace(export, settings=feed.run_settings, notify_secret=feed.notify_secret), feed.ftp_secret


def _with_changes(context: Context, export: Export, ftp_username: str | None, notification_url: str | None) -> Export:
    if ftp_username is not None and (target := export.settings.remote) is not None:
        changed = {export.settings.distribution_method: replace(target, username=ftp_username)}
        settings = replace(export.settings, **changed)  # type: ignore[arg-type] # the target of this very method
        export = replace(export, settings=settings, setting_key=settings.key(export.team))
    if notification_url:
        try:
            to = receiver(notification_url)
            context.guard.check_literal(to.host, to.port)
        except DeliveryFailed:
            raise UsageError(f"Invalid value for the notification URL: {hidden(notification_url)}") from None
    if notification_url is not None:
        shown_url, secret = context.secrets.split_url(notification_url or None)
        export = replace(export, settings=replace(export.settings, notification_url=shown_url), notify_secret=secret)
    return export


def _has_file(context: Context, export: Export) -> bool:
    if export.ready_at is None or export.file_deleted_at is not None:
        return False
    try:
        context.storage.open_finished(export.stored_name, export.bytes).close()
    except FileDamaged as damage:
        logger.warning("export starts anew: id=%d file=%s reason=%s", export.id, export.file_name, damage.text)
        return False
    return True

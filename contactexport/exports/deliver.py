"""Delivers a finished file: it stays in the folder, or goes to an FTP host."""

import logging
from functools import partial
from pathlib import Path

from contactexport import audit, crash_points
from contactexport.context import Context
from contactexport.db.connection import Connection
from contactexport.delivery import host_traits
from contactexport.delivery.base import Delivery
from contactexport.delivery.ftp import FtpDelivery
from contactexport.delivery.local import LocalDelivery
from contactexport.errors import (
    DatabaseUnavailable,
    DeliveryFailed,
    ExportFailed,
    FileDamaged,
    SecretUnreadable,
    SettingsError,
)
from contactexport.exports import lock, store
from contactexport.exports.models import Export, ExportStatus
from contactexport.files import storage_check

PLAIN_FTP_REFUSED = "Plain FTP is refused: CONTACTEXPORT_FTP_TLS_REQUIRED is set"

logger = logging.getLogger(__name__)


def deliver(context: Context, conn: Connection, export: Export) -> Export:
    """Delivers the file of a `ready` export and returns the export `done`.

    If the process dies after the file has arrived and before `done` is written, the next attempt delivers it again
    under the same name. The receiver then has one complete file, or two if the FTP host takes files away at once. The
    file of a feed is followed by its manifest, which an attempt after a death delivers again, too.
    Raises DeliveryFailed, ExportLost, StorageUnfit, and ExportFailed for plain FTP where TLS is required.
    """
    lock.require_still_held(conn, export.setting_key)
    delivery = _delivery(context, conn, export)
    try:
        opened = context.storage.open_finished(export.stored_name, export.bytes)
    except FileDamaged as damage:
        storage_check.require_storage(context)  # an outage, if the whole folder is gone
        logger.error("file not delivered: id=%d file=%s reason=%s", export.id, export.file_name, damage.text)  # noqa: TRY400
        raise DeliveryFailed(damage.text, permanent=True) from None
    with opened as file, lock.aborting_when_lost(context, export, delivery.abort):
        reply = delivery.deliver(export, file)
        if export.feed_id is not None:
            crash_points.reach("file delivered", export.attempt)
            delivery.deliver_manifest(export)
            crash_points.reach("manifest delivered", export.attempt)
    done = store.mark_done(conn, export, reply)
    crash_points.reach("marked done", export.attempt)
    finished_at = done.finished_at or done.created_at
    audit.note(
        "export done",
        export=done.id,
        user=done.created_by,
        attempt=done.attempt,
        rows=done.rows,
        bytes=done.bytes,
        seconds=round((finished_at - done.created_at).total_seconds(), 3),
        reply=reply,
    )
    if delivery.consumes_file:
        context.storage.delete(export.stored_name)
    return done


def _delivery(context: Context, conn: Connection, export: Export) -> Delivery:
    target = export.settings.ftp
    if target is None:
        return LocalDelivery(context.storage, partial(lock.require_ours, conn, export))
    if context.settings.ftp_tls_required and not target.tls:  # accepted before the setting
        raise ExportFailed(PLAIN_FTP_REFUSED)
    try:
        password = context.secrets.decrypt(export.ftp_secret) if export.ftp_secret else ""
    except (SecretUnreadable, SettingsError) as error:
        raise DeliveryFailed(error.text, permanent=False) from None
    address = context.guard.resolve(target.host, target.port)
    temporary_name = target.temporary_name or context.settings.ftp_temporary_name
    return FtpDelivery(
        target,
        address,
        password,
        timeout=context.settings.ftp_timeout,
        ca_file=context.settings.ftp_ca_file,
        temporary_name=temporary_name,
        traits=host_traits.remembered(conn, target, password, temporary_name),
        require_open=context.guard.resolve,
        before_publish=partial(lock.require_ours, conn, export),
        may_remove=partial(_is_useless, context, export),
    )


def _is_useless(context: Context, export: Export) -> bool:
    """True when no other attempt has the file or may have delivered it. The session may be lost: a new one asks."""
    try:
        with context.database.transaction() as conn:
            now = store.get(conn, export.id)
    except DatabaseUnavailable:
        return False
    return now.attempt == export.attempt or now.status is ExportStatus.ERROR


def stored_file(context: Context, export: Export) -> Path:
    """Where the finished file of an export lies, or lay, if the storage is a folder."""
    return context.settings.storage_dir / export.stored_name

"""Delivers a finished file: it stays in the folder, or goes to an FTP or SFTP host."""

import logging
import threading
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import BinaryIO

from contactexport import audit, crash_points
from contactexport.context import Context
from contactexport.db.connection import Connection
from contactexport.delivery import host_traits
from contactexport.delivery.base import Delivery
from contactexport.delivery.encoding import encoded
from contactexport.delivery.ftp import FtpDelivery
from contactexport.delivery.local import LocalDelivery
from contactexport.delivery.sftp_credentials import SftpCredentials
from contactexport.errors import (
    DatabaseUnavailable,
    DeliveryFailed,
    ExportFailed,
    ExportLost,
    FileDamaged,
    SecretUnreadable,
    SettingsError,
    StorageUnfit,
)
from contactexport.exports import lock, store
from contactexport.exports.models import DeliveredFile, Export, ExportStatus, FtpTarget, SftpTarget
from contactexport.files import storage_check
from contactexport.manifests import store as manifests
from contactexport.manifests.manifest import with_delivered
from contactexport.settings import Settings

PLAIN_FTP_REFUSED = "Plain FTP is refused: CONTACTEXPORT_FTP_TLS_REQUIRED is set"

UNKNOWN_HOST_REFUSED = "A host without a pinned key is refused: CONTACTEXPORT_SFTP_UNKNOWN_HOSTS is not set"

logger = logging.getLogger(__name__)


def deliver(context: Context, conn: Connection, export: Export) -> Export:
    """Delivers the file of a `ready` export and returns the export `done`.

    If the process dies after the file has arrived and before `done` is written, the next attempt delivers it again
    under the same name. The receiver then has one complete file, or two if the FTP host takes files away at once. The
    file of a feed is followed by its manifest, which an attempt after a death delivers again, too. A compressed file
    has the same bytes again, an encrypted one others. The manifest and the row tell those of the attempt that is done.
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
    export, reply = _send(context, conn, export, delivery, opened)
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
        try:
            context.storage.delete(export.stored_name)
        except StorageUnfit as unfit:  # the sweep finds it as an orphan
            logger.warning("file not deleted: %s: %s", export.stored_name, unfit.text)
    return done


def _send(
    context: Context, conn: Connection, export: Export, delivery: Delivery, file: BinaryIO
) -> tuple[Export, str | None]:
    """Sends the file, in the form that is asked for. Returns the export with that form, and the host's reply."""
    unwanted = threading.Event()

    def abort() -> None:
        unwanted.set()
        delivery.abort()

    def require_wanted() -> None:
        if unwanted.is_set() or context.stopping.is_set():
            raise ExportLost("the delivery was stopped")

    with (
        file,
        lock.aborting_when_lost(context, export, abort),
        encoded(export, file, context.settings.data_dir, require_wanted) as (content, delivered),
    ):
        sent = export
        if delivered is not None:
            crash_points.reach("file encoded", export.attempt)
            export = _with_form(context, conn, export, delivered)
            sent = replace(export, file_name=delivered.file_name, bytes=delivered.bytes)
        reply = delivery.deliver(sent, content)
        if export.settings.remote is not None:
            told = {"host": export.settings.remote.host, "file": sent.file_name, "reply": reply}
            audit.note("file delivered", export=export.id, user=export.created_by, attempt=export.attempt, **told)
        if export.feed_id is not None:
            crash_points.reach("file delivered", export.attempt)
            delivery.deliver_manifest(export)
            crash_points.reach("manifest delivered", export.attempt)
    return export, reply


def _with_form(context: Context, conn: Connection, export: Export, delivered: DeliveredFile) -> Export:
    """The export with what its host gets. The manifest of a feed's file must tell it, so it is signed again."""
    manifest = export.manifest
    if manifest is not None:
        try:
            manifest = with_delivered(manifest, delivered, manifests.current_key(context, conn))
        except (SecretUnreadable, SettingsError) as error:
            raise DeliveryFailed(error.text, permanent=False) from None
    return replace(export, delivered=delivered, manifest=manifest)


def refusal(settings: Settings, target: FtpTarget | SftpTarget | None) -> str | None:
    """Why the operator does not allow files to go there, if so."""
    if isinstance(target, FtpTarget) and settings.ftp_tls_required and not target.tls:
        return PLAIN_FTP_REFUSED
    if isinstance(target, SftpTarget) and not settings.sftp_unknown_hosts and target.host_key is None:
        return UNKNOWN_HOST_REFUSED
    return None


def _delivery(context: Context, conn: Connection, export: Export) -> Delivery:
    settings, before_publish = context.settings, partial(lock.require_ours, conn, export)
    target = export.settings.remote
    if target is None:
        return LocalDelivery(context.storage, before_publish)
    if refused := refusal(settings, target):  # accepted before the setting
        raise ExportFailed(refused)
    try:
        secret = context.secrets.decrypt(export.ftp_secret) if export.ftp_secret else ""
    except (SecretUnreadable, SettingsError) as error:
        raise DeliveryFailed(error.text, permanent=False) from None
    address = context.guard.resolve(target.host, target.port)
    temporary_name = target.temporary_name or settings.ftp_temporary_name
    may_remove = partial(_is_useless, context, export)
    if isinstance(target, SftpTarget):
        from contactexport.delivery.sftp import SftpDelivery  # 11 MB that only these deliveries need

        credentials = SftpCredentials.from_text(secret)
        return SftpDelivery(
            target,
            address,
            credentials,
            timeout=settings.ftp_timeout,
            temporary_name=temporary_name,
            traits=host_traits.remembered(conn, target, credentials.password or "", temporary_name),
            before_publish=before_publish,
            may_remove=may_remove,
        )
    return FtpDelivery(
        target,
        address,
        secret,
        timeout=settings.ftp_timeout,
        ca_file=settings.ftp_ca_file,
        temporary_name=temporary_name,
        traits=host_traits.remembered(conn, target, secret, temporary_name),
        require_open=context.guard.resolve,
        before_publish=before_publish,
        may_remove=may_remove,
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

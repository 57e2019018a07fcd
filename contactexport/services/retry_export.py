"""Revives an export that ended in error: its file is delivered again, or, if there is none, all starts anew."""

import logging
from dataclasses import replace

from contactexport import export_file, export_lock
from contactexport.backend import Backend
from contactexport.db import export_repository
from contactexport.delivery.notify import receiver
from contactexport.errors import DeliveryFailed, ExportAlreadyRunning, FileDamaged, UsageError
from contactexport.hidden_url import has_secrets, hidden
from contactexport.models import Export, ExportStatus
from contactexport.services import wake_workers
from contactexport.services.deliver_export import PLAIN_FTP_REFUSED
from contactexport.services.request_export import BUSY_LOCK_SECONDS, already_running, split_url

logger = logging.getLogger(__name__)


def lacks_url(export: Export) -> bool:
    """True when the export has a notification URL whose secrets were wiped, since it had been called."""
    url = export.settings.notification_url
    return url is not None and export.notify_secret is None and has_secrets(url) and hidden(url) == url


def retry(
    backend: Backend,
    export_id: int,
    ftp_password: str | None,
    ftp_username: str | None = None,
    notification_url: str | None = None,
) -> Export:
    """Makes the export due now, with new FTP credentials if given, and wakes a worker.

    The password of an export by FTP was wiped when it ended, so it must be given. So must a notification URL that was
    wiped when it had been called; an empty one notifies nobody.
    Raises UnknownExport, ExportAlreadyRunning, and UsageError when the export is not in error or lacks one of these.
    """
    export = _to_be_retried(backend, export_id, ftp_password, ftp_username, notification_url)
    secret = None if ftp_password is None else backend.secrets.encrypt(ftp_password)
    try:
        with backend.database.transaction() as conn:
            export_lock.require_for_transaction(conn, export.setting_key, BUSY_LOCK_SECONDS)
            revived = export_repository.retry(conn, export, secret, has_file=_has_file(backend, export))
    except ExportAlreadyRunning:
        raise already_running(backend, export.setting_key, export.team) from None
    wake_workers.wake_for(backend, revived)
    return revived


def _to_be_retried(
    backend: Backend, export_id: int, ftp_password: str | None, ftp_username: str | None, notification_url: str | None
) -> Export:
    with backend.database.transaction() as conn:
        export = export_repository.get(conn, export_id)
    if export.status is not ExportStatus.ERROR:
        raise UsageError(f"Export {export_id} is {export.status}: only one in error is tried again")
    export = _with_url(backend, _with_username(export, ftp_username), notification_url)
    if backend.settings.ftp_tls_required and export.settings.ftp is not None and not export.settings.ftp.tls:
        raise UsageError(f"Export {export_id}: {PLAIN_FTP_REFUSED}")
    if export.settings.ftp is not None and ftp_password is None:
        raise UsageError(f"Export {export_id} goes by FTP and its password was wiped: give it again")
    if lacks_url(export):
        raise UsageError(f"Export {export_id} has a notification URL that was wiped: give it again, or an empty one")
    return export


def _with_url(backend: Backend, export: Export, url: str | None) -> Export:
    if url is None:
        return export
    if url:
        _require_url(backend, url)
    settings, secret = split_url(backend, replace(export.settings, notification_url=url or None))
    return replace(export, settings=settings, notify_secret=secret)


def _require_url(backend: Backend, url: str) -> None:
    try:
        found = receiver(url)
        backend.guard.check_literal(found.host, found.port)
    except DeliveryFailed:
        raise UsageError(f"Invalid value for the notification URL: {hidden(url)}") from None


def _has_file(backend: Backend, export: Export) -> bool:
    if export.ready_at is None or export.file_deleted_at is not None:
        return False
    try:
        export_file.open_finished(backend.settings.storage_dir, export.file_name, export.bytes).close()
    except FileDamaged as damage:
        logger.warning("all starts anew: id=%d file=%s reason=%s", export.id, export.file_name, damage.text)
        return False
    return True


def _with_username(export: Export, username: str | None) -> Export:
    if username is None or export.settings.ftp is None:
        return export
    settings = replace(export.settings, ftp=replace(export.settings.ftp, username=username))
    return replace(export, settings=settings, setting_key=settings.key(export.team))

"""Revives an export that ended in error: its file is delivered again, or, if there is none, all starts anew."""

import logging
from dataclasses import replace

from contactexport import export_file, export_lock
from contactexport.backend import Backend
from contactexport.db import export_repository
from contactexport.errors import FileDamaged, UsageError
from contactexport.models import Export, ExportStatus
from contactexport.services.request_export import BUSY_LOCK_SECONDS, publish

logger = logging.getLogger(__name__)


def retry(backend: Backend, export_id: int, ftp_password: str | None, ftp_username: str | None = None) -> Export:
    """Makes the export due now, with new FTP credentials if given, and wakes a worker.

    The password of an export by FTP was wiped when it ended, so it must be given.
    Raises UnknownExport, ExportAlreadyRunning, and UsageError when the export is not in error or lacks its password.
    """
    with backend.database.transaction() as conn:
        export = export_repository.get(conn, export_id)
        if export.status is not ExportStatus.ERROR:
            raise UsageError(f"Export {export_id} is {export.status}: only one in error is tried again")
        export = _with_username(export, ftp_username)
        if export.settings.ftp is not None and ftp_password is None:
            raise UsageError(f"Export {export_id} goes by FTP and its password was wiped: give it again")
        export_lock.require_for_transaction(conn, export.setting_key, BUSY_LOCK_SECONDS)
        secret = None if ftp_password is None else backend.secrets.encrypt(ftp_password)
        revived = export_repository.retry(conn, export, secret, has_file=_has_file(backend, export))
    publish(backend, export_id)
    return revived


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

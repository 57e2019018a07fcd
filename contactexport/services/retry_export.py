"""Revives an export that ended in error: its file is delivered again, or, if there is none, all starts anew."""

from dataclasses import replace

from contactexport import export_lock
from contactexport.backend import Backend
from contactexport.db import export_repository
from contactexport.errors import UsageError
from contactexport.models import Export, ExportStatus
from contactexport.services import wake_workers
from contactexport.services.deliver_export import stored_file
from contactexport.services.request_export import BUSY_LOCK_SECONDS


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
        has_file = stored_file(backend, export).is_file()
        revived = export_repository.retry(conn, export, secret, has_file=has_file)
    wake_workers.wake_for(backend, revived)
    return revived


def _with_username(export: Export, username: str | None) -> Export:
    if username is None or export.settings.ftp is None:
        return export
    settings = replace(export.settings, ftp=replace(export.settings.ftp, username=username))
    return replace(export, settings=settings, setting_key=settings.key(export.team))

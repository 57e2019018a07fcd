"""Ends an export before it is finished, or deletes the file of a finished one."""

from contactexport import audit_log, export_lock
from contactexport.backend import Backend
from contactexport.db import export_repository
from contactexport.models import Caller, Export
from contactexport.services import delete_files


def cancel(backend: Backend, export_id: int, caller: Caller) -> Export:
    """Ends an unfinished export in `error` with the reason "cancelled"; a finished one only loses its file.

    A worker that is on it notices within a second, stops its query or upload and removes its temporary file
    (services/watch_export); its session with the lock is ended. If the process dies after the commit, the sweep
    deletes the file. Raises UnknownExport.
    """
    with backend.database.transaction() as conn:
        export = export_repository.get_visible(conn, export_id, caller)
        cancelled = export_repository.cancel(conn, export_id)
        export_repository.note_file_deleted(conn, export_id)
        if cancelled is not None:
            # Even if the worker hangs. Before the commit: after it, the lock may be that of a newer export.
            export_lock.free(conn, cancelled.setting_key)
    delete_files.delete(backend.settings.storage_dir / export.file_name)
    audit_log.note("export cancelled" if cancelled else "file deleted", export=export_id, user=caller.name)
    return cancelled or export

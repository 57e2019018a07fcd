"""Ends an export before it is finished."""

from contactexport import audit_log
from contactexport.backend import Backend
from contactexport.db import export_repository
from contactexport.models import Export


def cancel(backend: Backend, export_id: int) -> Export:
    """Ends an unfinished export in `error` with the reason "cancelled"; a finished one is returned as it is.

    A worker that is on it finds its attempt outdated at its next write, removes its temporary file and stops.
    Raises UnknownExport.
    """
    with backend.database.transaction() as conn:
        export = export_repository.get(conn, export_id)
        cancelled = export_repository.cancel(conn, export_id)
    if cancelled is None:
        return export
    audit_log.note("export cancelled", export=export_id)
    (backend.settings.storage_dir / cancelled.file_name).unlink(missing_ok=True)
    return cancelled

"""Ends an export before it is finished, or deletes the file of a finished one."""

import logging

from contactexport import audit
from contactexport.context import Context
from contactexport.errors import StorageUnfit
from contactexport.exports import lock, store
from contactexport.exports.models import Export
from contactexport.users.models import Caller

# The sweep holds the rows of exports whose files it deletes.
ROW_SECONDS = 5.0

logger = logging.getLogger(__name__)


def cancel(context: Context, export_id: int, caller: Caller, *, keep_finished: bool = False) -> Export | None:
    """Ends an unfinished export in `error` with the reason "cancelled". A finished export only loses its file.

    With `keep_finished` it keeps its file, and the answer is None: somebody saw it unfinished, and it ended meanwhile.

    A worker that runs it notices within a second (`lock`), stops its query or upload and removes its temporary
    file. Its session with the lock is ended. If the process dies after the commit, the sweep deletes the file.
    Raises UnknownExport, and DatabaseConflict if another transaction holds the export for too long.
    """
    with context.database.transaction() as conn:
        lock.limit_wait(conn, ROW_SECONDS)
        export = store.get_visible(conn, export_id, caller)
        cancelled = store.cancel(conn, export_id)
        if cancelled is None and keep_finished:
            return None
        store.note_file_deleted(conn, export_id)
        if cancelled is not None:
            # Even if the worker hangs. Before the commit, because then the lock may belong to a newer export.
            lock.free(conn, cancelled.setting_key)
    try:
        for name in (export.stored_manifest_name, export.stored_name):
            context.storage.delete(name)
    except StorageUnfit as unfit:  # the sweep finds them as orphans
        logger.warning("file not deleted: %s: %s", export.stored_name, unfit.text)
    audit.note("export cancelled" if cancelled else "file deleted", export=export_id, user=caller.name)
    return cancelled or export

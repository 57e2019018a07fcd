"""Deletes files after the retention, and orphans that crashes have left."""

import logging
import os
import re
from contextlib import suppress
from pathlib import Path

from contactexport.context import Context
from contactexport.exports import store
from contactexport.exports.models import MANIFEST_SUFFIX
from contactexport.files import export_file

OUR_FILE = re.compile(
    r"(?:changes|full|registrations)_(\d{1,18})_[a-z]{2}-[0-9a-f]{6}\.csv(\.json)?(?:\.(\d{1,9})\.part)?", re.ASCII
)

logger = logging.getLogger(__name__)


def delete_expired(context: Context) -> int:
    """Deletes the files of exports that ended before the retention began. Returns the number of exports.

    The row is written last. If the process dies before that, the next call finds the export again.
    """
    with context.database.transaction() as conn:
        expired = store.expired(conn, context.settings.retention)
        deleted = [
            export_id
            for export_id, name in expired
            if all(export_file.delete(context.settings.storage_dir / one) for one in (name + MANIFEST_SUFFIX, name))
        ]
        for export_id in deleted:
            store.note_file_deleted(conn, export_id)
    return len(deleted)


def delete_orphans(context: Context) -> int:
    """Deletes temporary files of attempts that are over, and files written after their export was deleted.

    Returns the number of files. Files of a running attempt are no orphans. Files of exports that this database does not
    know stay: the folder may be shared.
    """
    found = {path: match for path in _files(context) if (match := OUR_FILE.fullmatch(path.name))}
    if not found:
        return 0
    with context.database.transaction() as conn:
        stored = store.stored_files(conn, sorted({int(match[1]) for match in found.values()}))
    orphans = []
    for path, match in found.items():
        if (export_id := int(match[1])) in stored:
            attempt, keeps_file = stored[export_id]
            is_temporary = match[3] is not None
            if int(match[3]) != attempt if is_temporary else not keeps_file:
                orphans.append(path)
    # Its attempt may have removed it in the meantime. `lexists`: a dangling link counts.
    deleted = [path for path in orphans if os.path.lexists(path) and export_file.delete(path)]
    for path in deleted:
        logger.warning("orphaned file deleted: %s", path.name)
    return len(deleted)


def disk_use(context: Context) -> tuple[int, int]:
    """The number of files of exports, and their bytes, those of manifests included."""
    files, size = 0, 0
    for path in _files(context):
        with suppress(FileNotFoundError):  # deleted in the meantime
            if match := OUR_FILE.fullmatch(path.name):
                size += path.lstat().st_size
                files += match[2] is None
    return files, size


def _files(context: Context) -> list[Path]:
    folder = context.settings.storage_dir
    return sorted(folder.iterdir()) if folder.is_dir() else []

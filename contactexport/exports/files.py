"""Deletes files after the retention, and orphans that crashes have left."""

import logging
import re

from contactexport.context import Context
from contactexport.exports import store
from contactexport.exports.models import MANIFEST_SUFFIX

# The name of an export's file, then the attempt in the name of an object, the manifest, and the attempt of a temporary
# file.
OUR_FILE = re.compile(
    r"((?:changes|full|registrations)_(?P<id>\d{1,18})_[a-z]{2}-[0-9a-f]{6}\.csv(?:\.(?P<object>\d{1,9}))?)"
    r"(?P<manifest>\.json)?(?:\.(?P<part>\d{1,9})\.part)?",
    re.ASCII,
)

# Exports are locked while their files are deleted, each with one or two requests to a store. So a batch is small.
BATCH, BATCHES = 50, 20

logger = logging.getLogger(__name__)


def delete_expired(context: Context) -> int:
    """Deletes the files of at most 1,000 exports that ended before the retention began. Returns their number.

    The rows of a batch are written last. If the process dies before that, or the storage goes away, the next call finds
    the exports again. Raises StorageUnfit for an outage of the storage.
    """
    number, stuck = 0, list[int]()
    for _ in range(BATCHES):
        with context.database.transaction() as conn:
            expired = store.expired(conn, context.settings.retention, most=BATCH, left_out=stuck)
            for export_id, name in expired:
                if all(context.storage.delete(one) for one in (name + MANIFEST_SUFFIX, name)):
                    store.note_file_deleted(conn, export_id)
                    number += 1
                else:
                    stuck.append(export_id)
        if len(expired) < BATCH:
            break
    return number


def delete_orphans(context: Context) -> int:
    """Deletes what attempts that are over have left, and files written after their export was deleted.

    Returns the number of files. Files of a running attempt are no orphans. Files of exports that this database does not
    know stay: the storage may be shared.
    """
    # The rows are read after the files: whatever is found belongs to an attempt that the rows know.
    found = [(file, match) for file in context.storage.list() if (match := OUR_FILE.fullmatch(file.name))]
    if not found:
        return 0
    with context.database.transaction() as conn:
        stored = store.stored_files(conn, sorted({int(match["id"]) for _, match in found}))
    deleted = 0
    for file, match in found:
        if (export_id := int(match["id"])) not in stored:
            continue
        attempt, kept = stored[export_id]
        written_by = match["part"] or match["object"]
        is_current = written_by is not None and int(written_by) == attempt
        is_finished = match["part"] is None and not file.unfinished and match[1] == kept
        # Its attempt may have removed it in the meantime.
        if not is_current and not is_finished and context.storage.discard(file):
            logger.warning("orphaned file deleted: %s", file.name)
            deleted += 1
    return deleted


def disk_use(context: Context) -> tuple[int, int]:
    """The number of files of exports, and their bytes, those of manifests included."""
    files, size = 0, 0
    for file in context.storage.list():
        if match := OUR_FILE.fullmatch(file.name):
            size += file.bytes
            files += match["manifest"] is None and not file.unfinished
    return files, size

"""Deletes files that nobody may have any more: after the retention, and what crashes have left."""

import logging
import os
import re
from contextlib import suppress
from pathlib import Path

from contactexport.backend import Backend
from contactexport.db import export_repository

OUR_FILE = re.compile(r"(?:changes|registrations)_(\d{1,18})_[a-z]{2}-[0-9a-f]{6}\.csv(?:\.(\d{1,9})\.part)?", re.ASCII)

logger = logging.getLogger(__name__)


def delete_expired(backend: Backend) -> int:
    """Deletes the files of exports that ended longer ago than the retention; returns how many exports that were.

    The row is written last: if the process dies before, the next call finds the export again.
    """
    with backend.database.transaction() as conn:
        expired = export_repository.expired(conn, backend.settings.retention)
        deleted = [export_id for export_id, name in expired if delete(backend.settings.storage_dir / name)]
        for export_id in deleted:
            export_repository.note_file_deleted(conn, export_id)
    return len(deleted)


def delete_orphans(backend: Backend) -> int:
    """Deletes temporary files of attempts that are over, and files that were deleted but came late; returns how many.

    What an attempt has just finished with and removes by itself is no orphan. Files of exports this database does not
    know are left alone: the folder may be shared.
    """
    found = {path: match for path in _files(backend) if (match := OUR_FILE.fullmatch(path.name))}
    if not found:
        return 0
    with backend.database.transaction() as conn:
        kept = export_repository.kept_files(conn, sorted({int(match[1]) for match in found.values()}))
    orphans = [path for path, match in found.items() if int(match[1]) in kept and _is_orphan(match, kept)]
    # Its attempt may have removed it meanwhile. A link that leads nowhere is there, too.
    deleted = [path for path in orphans if os.path.lexists(path) and delete(path)]
    for path in deleted:
        logger.warning("orphaned file deleted: %s", path.name)
    return len(deleted)


def disk_use(backend: Backend) -> tuple[int, int]:
    """How many files of exports there are, and their bytes."""
    sizes = []
    for path in _files(backend):
        with suppress(FileNotFoundError):  # deleted meanwhile
            if OUR_FILE.fullmatch(path.name):
                sizes.append(path.lstat().st_size)
    return len(sizes), sum(sizes)


def delete(path: Path) -> bool:
    """Deletes a stored file; True when it is gone. One that cannot be deleted must not keep all others."""
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        logger.warning("file not deleted: %s: %s", path.name, error.strerror)
        return False
    return True


def _files(backend: Backend) -> list[Path]:
    folder = backend.settings.storage_dir
    return sorted(folder.iterdir()) if folder.is_dir() else []


def _is_orphan(match: re.Match[str], kept: dict[int, tuple[int | None, bool]]) -> bool:
    attempt, keeps_file = kept[int(match[1])]
    return not keeps_file if match[2] is None else int(match[2]) != attempt

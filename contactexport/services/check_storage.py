"""Refuses to work with a storage folder or a secret key that is not that of the installation.

A folder that is not shared, or not mounted, would take files that other machines do not find, silently.
"""

import logging
from pathlib import Path

from contactexport import storage_folder
from contactexport.backend import Backend
from contactexport.db import installation_repository
from contactexport.db.connection import Connection
from contactexport.db.installation_repository import Installation
from contactexport.errors import SettingsError, StorageUnfit, UsageError

MARK_IT = "run `flask storage init`"

logger = logging.getLogger(__name__)


def require(backend: Backend, conn: Connection) -> None:
    """Raises StorageUnfit unless folder and key are those of the installation.

    Outside production the first folder and the first key become so, since one machine should work without further
    steps. If the process dies between marker and row, the next call goes on from the marker.
    """
    installation = installation_repository.read(conn)
    _require_key(backend, conn, installation)
    folder = backend.settings.storage_dir
    found = storage_folder.marked_for(folder)
    if found is None and _may_mark(backend, installation):
        found = _mark_first(backend, installation)
    if found != installation.id:
        raise _unfit(folder, found, installation.id)
    if not installation.storage_marked:
        installation_repository.note_marked(conn)


def require_storage(backend: Backend) -> None:
    """The same on a connection of its own."""
    with backend.database.autocommit() as conn:
        require(backend, conn)


def is_fit(backend: Backend) -> bool:
    """The same without an error: the reason is logged, once until it changes."""
    try:
        require_storage(backend)
    except StorageUnfit as unfit:
        tell_once(backend, unfit.text)
        return False
    tell_once(backend, None)
    return True


def tell_once(backend: Backend, reason: str | None) -> None:
    """Logs a new reason why this process does nothing with files, and that there is none any more."""
    before, backend.told["storage"] = backend.told.get("storage"), reason
    if reason is not None and reason != before:
        logger.error("no exports are taken: %s", reason)
    elif reason is None and before is not None:
        logger.warning("exports are taken again: the storage folder is the right one")


def mark(backend: Backend, *, replace: bool = False) -> str:
    """Makes folder and first key those of the installation, for `flask storage init`; returns the installation's id.

    Raises UsageError when a folder was marked before, unless `replace`; StorageUnfit when the key is another.
    """
    folder = backend.settings.storage_dir
    with backend.database.transaction() as conn:
        installation = installation_repository.read(conn)
        found = storage_folder.marked_for(folder)
        if found != installation.id and not replace:
            if found is not None:
                raise UsageError(f"{folder} belongs to another installation ({found}): --replace takes it")
            if installation.storage_marked:
                raise UsageError(
                    f"{folder} has no marker, but a folder of this installation was marked before: is it mounted? "
                    "--replace marks this one"
                )
        installation_repository.note_first_key(conn, backend.secrets.fingerprints()[0])
        _require_key(backend, conn, installation_repository.read(conn))
        installation_repository.note_marked(conn)
        storage_folder.mark(folder, installation.id)
    return installation.id


def _require_key(backend: Backend, conn: Connection, installation: Installation) -> None:
    try:
        fingerprints = backend.secrets.fingerprints()
    except SettingsError as error:
        raise StorageUnfit(error.text, "no key") from None
    if installation.key_fingerprint is None and backend.settings.create_storage:
        installation_repository.note_first_key(conn, fingerprints[0])
        installation = installation_repository.read(conn)
    if installation.key_fingerprint is None:
        raise StorageUnfit(f"The storage and key of this installation are not noted yet: {MARK_IT}", "not marked")
    if installation.key_fingerprint not in fingerprints:
        raise StorageUnfit(
            f"The secret key is another than that of the installation ({', '.join(fingerprints)} instead of "
            f"{installation.key_fingerprint}, by their fingerprints): put the former key behind this one and a comma",
            "another key",
        )


def _may_mark(backend: Backend, installation: Installation) -> bool:
    """Of an embedded database there is but one machine, and so but one folder."""
    settings = backend.settings
    return settings.create_storage and (not installation.storage_marked or settings.database_url is None)


def _mark_first(backend: Backend, installation: Installation) -> str | None:
    folder = backend.settings.storage_dir
    with backend.database.transaction() as conn:
        if installation_repository.claim_marking(conn) or backend.settings.database_url is None:
            storage_folder.mark(folder, installation.id)
    return storage_folder.marked_for(folder)


def _unfit(folder: Path, found: str | None, expected: str) -> StorageUnfit:
    if found is not None:
        return StorageUnfit(
            f"The storage folder {folder} belongs to another installation ({found} instead of {expected})",
            "of another installation",
        )
    what = "has no marker" if folder.is_dir() else "does not exist"
    return StorageUnfit(
        f"The storage folder {folder} {what}: mount the one that all machines share; if it is the right one, {MARK_IT}",
        "not marked" if folder.is_dir() else "missing",
    )

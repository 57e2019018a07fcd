"""Refuses to work with a storage or a secret key of another installation.

Other machines would not find the files in a folder that is not shared or not mounted, and nobody would notice. So the
storage has a marker with the id of the installation.
"""

import logging
from dataclasses import dataclass

from contactexport.context import Context
from contactexport.db.connection import Connection
from contactexport.db.queries import queries
from contactexport.errors import SettingsError, StorageUnfit, UsageError
from contactexport.files.storage import Storage

INIT_HINT = "run `flask storage init`"

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Installation:
    """`storage_marked` is true when a storage has the marker. `key_fingerprint` is None until a key is used."""

    id: str
    key_fingerprint: str | None
    storage_marked: bool


def require(context: Context, conn: Connection) -> None:
    """Raises StorageUnfit unless storage and key are those of the installation.

    Outside production the first storage and the first key become those of the installation, so that one machine works
    without further steps. If the process dies between marker and row, the next call continues from the marker.
    """
    installation = Installation(**queries("installation").read(conn))
    _require_key(context, conn, installation)
    storage = context.storage
    found = storage.read_marker()
    embedded = context.settings.database_url is None  # so there is one machine, and one storage
    if found is None and context.settings.create_storage and (embedded or not installation.storage_marked):
        with context.database.transaction() as marking:
            # True for the one process that may mark the first storage. Others wait until this transaction ends.
            may_mark = queries("installation").claim_marking(marking) is not None
            if may_mark or embedded:
                storage.write_marker(installation.id)
        found = storage.read_marker()
    if found != installation.id:
        raise _unfit(storage, found, installation.id)
    if not installation.storage_marked:
        queries("installation").note_marked(conn)


def require_storage(context: Context) -> None:
    """Like `require`, on another connection."""
    with context.database.autocommit() as conn:
        require(context, conn)


def is_fit(context: Context) -> bool:
    """Tells whether `require` succeeds. The reason for False is logged once, until it changes."""
    try:
        require_storage(context)
    except StorageUnfit as unfit:
        tell_once(context, unfit.text)
        return False
    tell_once(context, None)
    return True


def tell_once(context: Context, reason: str | None) -> None:
    """Logs why this process takes no exports if the reason is new, and that it takes them again if there is none."""
    logged, context.told["storage"] = context.told.get("storage"), reason
    if reason is not None and reason != logged:
        logger.error("no exports are taken: %s", reason)
    elif reason is None and logged is not None:
        logger.warning("exports are taken again: the %s is the right one", context.storage.kind)


def mark(context: Context, *, replace: bool = False) -> str:
    """Makes storage and key those of the installation, for `flask storage init`, and returns the installation's id.

    Raises UsageError if a storage was marked before, unless `replace`. Raises StorageUnfit if another key is recorded.
    """
    storage = context.storage
    with context.database.transaction() as conn:
        installation = Installation(**queries("installation").read(conn))
        found = storage.read_marker()
        if found != installation.id and not replace:
            if found is not None:
                raise UsageError(f"{storage.place} belongs to another installation ({found}): --replace takes it over")
            if installation.storage_marked:
                raise UsageError(
                    f"{storage.place} has no marker, but a {storage.noun} of this installation was marked before: "
                    f"{storage.doubt} "
                    "--replace marks this one"
                )
        queries("installation").note_first_key(conn, fingerprint=context.secrets.fingerprints[0])
        _require_key(context, conn, Installation(**queries("installation").read(conn)))
        queries("installation").note_marked(conn)
        storage.write_marker(installation.id)
    return installation.id


def note_key(conn: Connection, fingerprint: str) -> None:
    """Replaces the recorded fingerprint of the key."""
    queries("installation").note_key(conn, fingerprint=fingerprint)


def _require_key(context: Context, conn: Connection, installation: Installation) -> None:
    try:
        fingerprints = context.secrets.fingerprints
    except SettingsError as error:
        raise StorageUnfit(error.text, "no key") from None
    if installation.key_fingerprint is None and context.settings.create_storage:
        queries("installation").note_first_key(conn, fingerprint=fingerprints[0])
        installation = Installation(**queries("installation").read(conn))
    if installation.key_fingerprint is None:
        raise StorageUnfit(f"This installation has no storage and no key yet: {INIT_HINT}", "not marked")
    if installation.key_fingerprint not in fingerprints:
        raise StorageUnfit(
            f"The secret key is not that of the installation (fingerprint {', '.join(fingerprints)}, not "
            f"{installation.key_fingerprint}): add the old key after this one and a comma",
            "another key",
        )


def _unfit(storage: Storage, found: str | None, expected: str) -> StorageUnfit:
    if found is not None:
        return StorageUnfit(
            f"The {storage.kind} {storage.place} belongs to another installation ({found}, not {expected})",
            "of another installation",
        )
    problem, state = ("has no marker", "not marked") if storage.exists() else ("does not exist", "missing")
    return StorageUnfit(
        f"The {storage.kind} {storage.place} {problem}: {storage.advice}, or {INIT_HINT} if it is the right one",
        state,
    )

"""Runs an export from claim to delivery, in a worker or in the command line.

If the process dies on any line, Postgres drops the lock with the session, the sweep wakes another worker, and the next
attempt starts from the last state that was written. A process that was only thought dead finds its attempt
number outdated at its next write and stops.
"""

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime
from functools import partial

from contactexport import audit_log, crash_points, export_file, export_lock
from contactexport.backend import Backend
from contactexport.db import (
    catalogue_repository,
    changed_contact_repository,
    contact_table,
    export_repository,
)
from contactexport.db.changed_contact_repository import Selection
from contactexport.db.connection import Connection
from contactexport.db.connection_errors import refusals_told, translated_errors
from contactexport.errors import (
    NO_LONGER_KEPT,
    ContactsIncomplete,
    ContactsUnavailable,
    DatabaseConflict,
    DatabaseInTrouble,
    DatabaseUnavailable,
    DeliveryFailed,
    ExportFailed,
    ExportLost,
    QueryFailed,
    ReplicaLags,
    StorageUnfit,
    ValueRefused,
    WindowOpen,
)
from contactexport.models import Catalogue, ContactField, Export, ExportStatus
from contactexport.services import (
    check_storage,
    deliver_export,
    find_changes,
    find_unfit_contact,
    outcomes,
    watch_export,
    write_rows,
)
from contactexport.services.read_in_ranges import Readers
from contactexport.services.request_export import BUSY_LOCK_SECONDS

OUTAGE_SECONDS = 30
# An export that has been put off for writers keeps no worker waiting for them: this is long enough for short ones.
SECOND_LOOK_SECONDS = 2
OUR_FAULT = "Internal error, see the log of the worker"

# Told the rows written so far, those of the whole file, and whether the latter are known or an estimate.
Progress = Callable[[int, int, bool], None]

logger = logging.getLogger(__name__)


def run(backend: Backend, export_id: int, progress: Progress | None = None) -> Export | None:
    """Does the next attempt of this export, whosever turn it is, delivery included; returns it as it is afterwards.

    None when there was nothing to do: it is finished, not due, or in the hands of a worker. Raises UnknownExport,
    StorageUnfit, and DatabaseUnavailable when Postgres breaks off (the sweep then takes the export up again).
    """
    with backend.database.kept_session() as conn:
        check_storage.require(backend, conn)
        export = export_repository.get(conn, export_id)
        # Requests that are being refused hold the lock for a moment, each in its turn.
        with export_lock.held_for_session(conn, export.setting_key, BUSY_LOCK_SECONDS) as held:
            claimed = export_repository.claim(conn, export_id, export.setting_key) if held else None
            if claimed is None:
                logger.info("nothing to do: id=%d status=%s locked=%s", export_id, export.status, not held)
                return None
            return attempt(backend, conn, claimed, progress)


def attempt(
    backend: Backend, conn: Connection, export: Export, progress: Progress | None = None, *, hand_over: bool = False
) -> Export | None:
    """Works on a claimed export and returns it as it is afterwards; None when another has taken it over.

    With `hand_over` a file for another computer is written, but not delivered in the same attempt.
    """
    audit_log.note(
        "export claimed", export=export.id, user=export.created_by, attempt=export.attempt, status=export.status
    )
    crash_points.reach("export claimed", export.attempt)
    try:
        hand_over = hand_over and export.settings.ftp is not None
        work = partial(_produce_and_deliver, backend, conn, export, progress, hand_over)
        return _put_off_by_outages(backend, export, work, hand_over)
    except ExportLost as lost:
        return _handed_back(backend, export, lost)


def _handed_back(backend: Backend, export: Export, lost: ExportLost) -> Export | None:
    """An attempt that ends because its worker is stopped does not count; the next one is due at once."""
    try:
        if not backend.stopping.is_set():
            raise lost
        with backend.database.transaction() as conn:
            given = export_repository.postpone(conn, export, 0, "Its worker was stopped", counted=False)
    except ExportLost as reason:
        logger.warning("attempt given up: id=%d attempt=%d reason=%s", export.id, export.attempt, reason)
        return None
    audit_log.note("export handed back", export=export.id, user=export.created_by, attempt=export.attempt)
    return given


def _put_off_by_outages(backend: Backend, export: Export, work: Callable[[], Export], hand_over: bool) -> Export:
    """An outage is nobody's attempt. It may be this session only that was ended, so another connection is asked."""
    try:
        with translated_errors():
            return work()
    except (DatabaseUnavailable, StorageUnfit) as outage:
        what = "storage" if isinstance(outage, StorageUnfit) else "database"
        logger.warning("%s lost: id=%d attempt=%d reason=%s", what, export.id, export.attempt, outage.text)
        with backend.database.transaction() as other:
            export_repository.require_attempt(other, export)
            if not hand_over:  # its own delivery may have begun, which nobody else does in this attempt
                begun = export_repository.get(other, export.id).delivery_attempts
                export = replace(export, delivery_attempts=begun)
            return export_repository.postpone(other, export, OUTAGE_SECONDS, outage.status_text, counted=False)


def _produce_and_deliver(
    backend: Backend, conn: Connection, export: Export, progress: Progress | None, hand_over: bool
) -> Export:
    try:
        with translated_errors():
            if export.status is ExportStatus.IN_PROGRESS:
                export = _produce(backend, conn, export, progress, hand_over)
            return export if hand_over else deliver_export.deliver(backend, conn, export)
    except (ExportFailed, ContactsIncomplete) as failure:
        return outcomes.failed(conn, export, failure.text)
    except WindowOpen as writers:
        return outcomes.put_off_for_writers(backend, conn, export, writers.text)
    except QueryFailed as refusal:
        return _refused(backend, conn, export, refusal)
    except OSError as error:
        return outcomes.postponed(backend, conn, export, f"The file cannot be written: {error.strerror or error}")
    except (DatabaseUnavailable, StorageUnfit, ExportLost):
        raise
    except Exception:  # a fault of ours must not be tried again without a pause, nor for ever
        logger.exception("unexpected error: id=%d attempt=%d", export.id, export.attempt)
        return _put_off(backend, conn, export)


def _refused(backend: Backend, conn: Connection, export: Export, refusal: QueryFailed) -> Export:
    watch_export.require_wanted(backend, conn, export)  # one that was lost or stopped has cancelled it itself
    logger.warning("query refused: id=%d attempt=%d reason=%s", export.id, export.attempt, refusal.text)
    if isinstance(refusal, ValueRefused):  # the value will be the same next time
        return outcomes.failed(conn, export, refusal.status_text)
    return outcomes.postponed(backend, conn, export, refusal.status_text)


def _put_off(backend: Backend, conn: Connection, export: Export) -> Export:
    if export.status is ExportStatus.READY:
        return deliver_export.try_later(backend, conn, export, DeliveryFailed(OUR_FAULT, permanent=True))
    return outcomes.postponed(backend, conn, export, OUR_FAULT)


def _produce(backend: Backend, conn: Connection, export: Export, progress: Progress | None, hand_over: bool) -> Export:
    if export.run_attempts > backend.settings.attempt_limit:
        raise ExportFailed(export.error or f"Given up after {backend.settings.attempt_limit} attempts")
    with _contacts_outages_told(), backend.contacts.kept_session() as snapshot:
        until = _settled(backend, conn, snapshot, export)
        readers = Readers(backend.contacts, snapshot)
        with refusals_told(), watch_export.aborting_when_lost(backend, export, readers.cancel):
            written, complete_from = _read_and_write(backend, conn, readers, export, until, progress)
    if progress:
        progress(written.rows, written.rows, True)
    ready = export_repository.mark_ready(
        conn,
        export,
        rows=written.rows,
        bytes=written.bytes,
        sha256=written.sha256,
        effective_until=until,
        complete_from=complete_from,
        marks=written.marks.to_bytes(),
        delivery_attempts=0 if hand_over else 1,
    )
    crash_points.reach("marked ready", export.attempt)
    return ready


@contextmanager
def _contacts_outages_told() -> Iterator[None]:
    try:
        yield
    except (ReplicaLags, ContactsIncomplete, DatabaseConflict, DatabaseInTrouble):
        raise
    except DatabaseUnavailable as outage:
        raise ContactsUnavailable(outage.text) from outage


def _settled(backend: Backend, conn: Connection, contacts: Connection, export: Export) -> datetime:
    settings, seconds = export.settings, backend.settings.writers_wait
    return find_changes.settle_in(
        contacts,
        backend.database,
        settings.start,
        settings.end,
        partial(watch_export.require_wanted, backend, conn, export),
        writers_seconds=seconds if export.writers_since is None else min(seconds, SECOND_LOOK_SECONDS),
        replica_seconds=seconds,
        # Who asks for a window of the past takes the next one from its end, and does not look where it has ended.
        whole=settings.end <= export.created_at and not settings.may_end_early,
    )


def _read_and_write(
    backend: Backend,
    conn: Connection,
    readers: Readers,
    export: Export,
    until: datetime,
    progress: Progress | None,
) -> tuple[export_file.WrittenFile, datetime | None]:
    """The file, and from when on it is complete (None: from the start of its window)."""
    most = readers.begin(1 if export.settings.spreadsheet else backend.settings.most_readers)
    snapshot = readers.sessions[0]
    table = contact_table.describe(snapshot)
    catalogue = catalogue_repository.read(snapshot)
    complete_from = _complete_from(backend, catalogue, export)
    extent = changed_contact_repository.measure(snapshot, export.settings, until, most)
    export_repository.note_expected_rows(conn, export, extent.contacts)
    fields = _fields(catalogue, export)
    selection = Selection(export.settings, fields, until, str(backend.settings.time_zone), extent.small_part, table)
    require_wanted = partial(watch_export.require_wanted, backend, conn, export)
    check_storage.require_storage(backend)  # again: it may have been unmounted while writers were waited for
    with find_unfit_contact.named_in_failure(snapshot, selection, require_wanted):
        written = export_file.write(
            backend.settings.storage_dir,
            export.file_name,
            export.attempt,
            write_content=partial(write_rows.write, readers, selection, extent),
            may_appear=partial(deliver_export.require_ours, conn, export),
            on_rows=progress and partial(_tell, progress, extent.contacts, export),
        )
    return written, complete_from


def _tell(progress: Progress, expected: int, export: Export, lines: int) -> None:
    progress(max(lines - int(export.settings.header), 0), expected, False)


def _complete_from(backend: Backend, catalogue: Catalogue, export: Export) -> datetime | None:
    """Asked again, by the snapshot that is read: the log may have been pruned since the export was accepted."""
    since = catalogue.complete_only_from(export.settings.start)
    if since is not None and not export.settings.may_be_incomplete:
        raise ExportFailed(NO_LONGER_KEPT.format(since=since.astimezone(backend.settings.time_zone).isoformat()))
    return since


def _fields(catalogue: Catalogue, export: Export) -> list[ContactField]:
    gone = [field for field in export.settings.contact_fields if not catalogue.is_exportable(field)]
    if gone:
        raise ExportFailed(f"Invalid contact field id: {', '.join(map(str, gone))}")
    return [catalogue.fields[field] for field in export.settings.contact_fields]

"""Runs an export from claim to done, in a worker or on the command line. Errors end up in `outcomes`.

If the process dies on any line, Postgres drops the lock with the session, and the sweep wakes another worker. Its
attempt starts from the last state that was written. A process that was only thought dead has a stale attempt number:
its next write fails, and it stops.
"""

import logging
import os
from collections.abc import Callable
from contextlib import ExitStack, closing
from datetime import datetime
from functools import partial

from contactexport import audit, crash_points, log_context
from contactexport.adopt import check as capture_check
from contactexport.catalogue import Catalogue
from contactexport.changes import log as change_log
from contactexport.changes import selection as changed_contacts
from contactexport.changes import unfit_contact
from contactexport.changes.readers import Readers
from contactexport.changes.selection import Extent, Selection
from contactexport.changes.window import settled_until_on_replica
from contactexport.contacts import table as contact_table
from contactexport.context import Context
from contactexport.db.connection import Connection
from contactexport.db.errors import query_errors_translated, translated_errors
from contactexport.errors import (
    NO_LONGER_KEPT,
    ContactsIncomplete,
    ContactsUnavailable,
    DatabaseConflict,
    DatabaseInTrouble,
    DatabaseUnavailable,
    ExportFailed,
    ReplicaLags,
)
from contactexport.exports import deliver, lock, outcomes, store
from contactexport.exports.accept import BUSY_LOCK_SECONDS
from contactexport.exports.models import Export, ExportSettings, ExportStatus
from contactexport.feeds import contract
from contactexport.files import csv_format, storage_check
from contactexport.files.writer import RowsFile
from contactexport.manifests import store as manifests
from contactexport.manifests.manifest import FileContent
from contactexport.moments import in_zone

# The first attempt waits for writers longer. A later one only catches those that are about to end.
SECOND_LOOK_SECONDS = 2
MAX_DEFAULT_READERS = 4

# Called with the rows written, the rows of the whole file, and True when the latter is exact, not an estimate.
Progress = Callable[[int, int, bool], None]

logger = logging.getLogger(__name__)


class WrittenRows:
    """How many rows of a file are written. `progress` is told, and the watchdog stores it."""

    def __init__(self, progress: Progress | None) -> None:
        self._rows = 0
        self._progress = progress

    def so_far(self) -> int:
        """The rows up to now. Any thread may ask."""
        return self._rows

    def note(self, rows: int, of_all: int, *, exact: bool) -> None:
        """Called once a megabyte."""
        self._rows = rows
        if self._progress:
            self._progress(rows, of_all, exact)


def run(context: Context, export_id: int, progress: Progress | None = None) -> Export | None:
    """Does the next attempt of this export, delivery included, and returns the export afterwards.

    None: there was nothing to do. It is finished, not due, or another worker has it. Raises UnknownExport,
    StorageUnfit, and DatabaseUnavailable when Postgres goes away (the sweep then finds the export).
    """
    with context.database.reusable_session() as conn:
        storage_check.require(context, conn)
        export = store.get(conn, export_id)
        # Each request that is being refused holds the lock for a moment.
        with lock.held_for_session(conn, export.setting_key, BUSY_LOCK_SECONDS) as held:
            claimed = store.claim(conn, export_id, export.setting_key) if held else None
            if claimed is None:
                logger.info("nothing to do: id=%d status=%s locked=%s", export_id, export.status, not held)
                return None
            return attempt(context, conn, claimed, progress)


def attempt(
    context: Context, conn: Connection, export: Export, progress: Progress | None = None, *, hand_over: bool = False
) -> Export | None:
    """Works on a claimed export and returns it afterwards. None: another worker has it now.

    With `hand_over` the attempt writes a file for another computer, and leaves its delivery to another worker.
    """
    with log_context.about(export.request_id):
        named = {"export": export.id, "user": export.created_by, "attempt": export.attempt}
        audit.note("export claimed", **named, status=export.status)
        crash_points.reach("export claimed", export.attempt)
        hand_over = hand_over and export.settings.remote is not None
        try:
            with translated_errors():
                if export.status is ExportStatus.IN_PROGRESS:
                    export = write_file(context, conn, export, progress, hand_over=hand_over)
                    audit.note("file written", **named, rows=export.rows, bytes=export.bytes)
                return export if hand_over else deliver.deliver(context, conn, export)
        except Exception as error:  # noqa: BLE001 - the table of outcomes has a row for each
            return outcomes.end_attempt(context, conn, export, error, hand_over=hand_over)


def write_file(
    context: Context, conn: Connection, export: Export, progress: Progress | None, *, hand_over: bool
) -> Export:
    """Waits for writers, reads the snapshot into the file, and marks the export ready."""
    settings, writers_wait, first_look = export.settings, context.settings.writers_wait, export.writers_since is None
    if export.run_attempts > context.settings.attempt_limit:
        raise ExportFailed(export.error or f"Given up after {context.settings.attempt_limit} attempts")
    # That of a single export is signed when somebody asks for it. A key that cannot be read is told before the rows.
    key = None if export.feed_id is None else manifests.current_key(context, conn)
    try:
        with context.contacts.reusable_session() as snapshot:
            until = settled_until_on_replica(
                snapshot,
                context.database,
                settings.start,
                settings.end,
                partial(lock.require_wanted, context, conn, export),
                writers_seconds=writers_wait if first_look else min(writers_wait, SECOND_LOOK_SECONDS),
                replica_seconds=writers_wait,
                # A client that asks for a past window starts the next one at its end. It does not look where it ended.
                whole=settings.end <= export.created_at and not settings.may_end_early,
            )
            readers = Readers(context.contacts, [snapshot])
            written = WrittenRows(progress)
            with query_errors_translated(), lock.aborting_when_lost(context, export, readers.cancel, written.so_far):
                content, warnings = _read_into_file(context, conn, readers, export, until, written)
    except (ReplicaLags, ContactsIncomplete, DatabaseConflict, DatabaseInTrouble):
        raise
    except DatabaseUnavailable as outage:  # the status names the contacts database, which may be another one
        raise ContactsUnavailable(outage.text) from outage
    ready = store.mark_ready(
        conn,
        export,
        content,
        warnings=warnings,
        manifest=manifests.manifest_of(conn, export, content, key) if key else None,
        delivery_attempts=0 if hand_over else 1,
    )
    crash_points.reach("marked ready", export.attempt)
    return ready


def _read_into_file(
    context: Context, conn: Connection, readers: Readers, export: Export, until: datetime, seen: WrittenRows
) -> tuple[FileContent, list[str]]:
    """What is in the file, and warnings for the status of the export."""
    settings = export.settings
    most_readers = context.settings.parallel_readers or min(MAX_DEFAULT_READERS, len(os.sched_getaffinity(0)))
    in_segments = context.storage.joins_segments and not settings.spreadsheet
    max_ranges = readers.begin(most_readers if in_segments else 1)
    snapshot = readers.sessions[0]
    table = contact_table.describe(snapshot)
    catalogue = Catalogue.read(snapshot)
    if export.feed_id is not None:
        now = change_log.clock(snapshot)
        contract.require_kept(conn, export, catalogue, until, now, context.settings.time_zone)
    complete_from = _complete_from(context, settings, catalogue)
    fields = [catalogue.fields[field] for field in settings.contact_fields]
    extent = changed_contacts.measure(snapshot, settings, until, max_ranges, table)
    store.note_expected_rows(conn, export, extent.contacts)
    selection = Selection(settings, fields, until, str(context.settings.time_zone), extent.small_part, table)
    storage_check.require(context, conn)  # a folder may have been unmounted during the wait for writers
    with unfit_contact.named_in_failure(snapshot, selection, partial(lock.require_wanted, context, conn, export)):
        written = context.storage.write(
            export.file_name,
            export.attempt,
            write_content=partial(write_rows, readers, selection, extent),
            before_publish=partial(lock.require_ours, conn, export),
            on_rows=lambda lines: seen.note(max(lines - int(settings.header), 0), extent.contacts, exact=False),
        )
    seen.note(written.rows, written.rows, exact=True)
    unlogged = capture_check.warnings(snapshot, removed=settings.removed)
    content = FileContent(
        export.id,
        export.file_name,
        (None if settings.type == "full" else settings.start, until),
        complete_from,
        csv_format.columns(fields, settings.language, settings.last_columns),
        changed_contacts.count_removed(snapshot, selection) if settings.adds_removed else 0,
        written,
    )
    return content, [*unlogged, *unfit_contact.unreadable_warnings(snapshot, selection)]


def _complete_from(context: Context, settings: ExportSettings, catalogue: Catalogue) -> datetime | None:
    """The log may have been pruned, and fields may have gone, since the export was accepted. Raises ExportFailed."""
    if gone := [field for field in settings.contact_fields if not catalogue.is_exportable(field)]:
        raise ExportFailed(f"Invalid contact field id: {', '.join(map(str, gone))}")
    if settings.type == "full":
        return None
    complete_from = catalogue.complete_only_from(settings.start)
    if complete_from is not None and not settings.may_be_incomplete:
        local_time = in_zone(complete_from, context.settings.time_zone)
        raise ExportFailed(NO_LONGER_KEPT.format(since=local_time.isoformat()))
    removals_from = catalogue.removals_only_from(settings.start) if settings.removed else None
    if removals_from is not None:
        complete_from = max(complete_from or removals_from, removals_from)
    return complete_from


def write_rows(readers: Readers, selection: Selection, extent: Extent, to: RowsFile) -> int:
    """Writes the rows in the order of contact ids. Returns their number.

    Several readers each have a range of ids. The first one writes into the file itself, the others into segments, which
    are appended in their order.
    """
    settings = selection.settings
    named = csv_format.columns(selection.fields, settings.language, settings.last_columns)
    names = [name for _, name in named]
    if settings.spreadsheet:
        contacts = changed_contacts.read(readers.sessions[0], selection)
        return csv_format.write_spreadsheet(names if settings.header else None, contacts, settings.delimiter, to)
    if settings.header:
        to.write(csv_format.line(names, settings.delimiter))
    with readers.joined(len(extent.ranges)) as joined, ExitStack() as opened:
        ranges = extent.ranges if joined else (selection.table.all_ids,)
        segments = [opened.enter_context(to.new_segment()) for _ in ranges[1:]]
        copies = [
            partial(changed_contacts.copy, session, selection, ids, segment)
            for session, ids, segment in zip(readers.sessions, ranges, [to, *segments], strict=True)
        ]
        rows = 0
        with closing(readers.run(copies)) as reading:
            for number, rows_of_segment in reading:
                if rows_of_segment is None:  # append what is there
                    if number:
                        to.copy_from(segments[number - 1])
                    to.flush_early()
                    continue
                rows += rows_of_segment
                if number:
                    to.append(segments[number - 1])
        return rows

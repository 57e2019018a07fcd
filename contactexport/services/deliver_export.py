"""Delivers a finished file and tries again when that can help, by due times in the database."""

import logging
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import BinaryIO

from contactexport import audit_log, crash_points, export_file, export_lock
from contactexport.backend import Backend
from contactexport.db import change_repository, export_repository
from contactexport.db.connection import Connection
from contactexport.delivery import host_traits
from contactexport.delivery.base import Delivery
from contactexport.delivery.ftp import FtpDelivery
from contactexport.delivery.local import LocalDelivery
from contactexport.errors import (
    DatabaseUnavailable,
    DeliveryFailed,
    ExportFailed,
    FileDamaged,
    SecretUnreadable,
    SettingsError,
)
from contactexport.models import Export, ExportStatus
from contactexport.services import check_storage, delete_files, watch_export

# After 1, 5, 15 and 60 minutes, then hourly (contract, Status: "at the latest every hour").
RETRY_SECONDS = (60, 300, 900, 3600)
PERMANENT_FAILURES_LIMIT = 3
PLAIN_FTP_REFUSED = "Plain FTP is refused: CONTACTEXPORT_FTP_TLS_REQUIRED is set"

logger = logging.getLogger(__name__)


def deliver(backend: Backend, conn: Connection, export: Export) -> Export:
    """Delivers a `ready` export and returns it `done`, `ready` with a later due time, or in `error`.

    If the process dies after the file has arrived and before `done` is written, the next attempt delivers it again
    under the same name: the receiver has one complete file, and two only of an FTP host that takes files away at once.
    Raises ExportLost, StorageUnfit, and ExportFailed for plain FTP where TLS is required: the host was not even
    connected to.
    """
    try:
        export_lock.require_still_held(conn, export.setting_key)
        delivery = _delivery(backend, conn, export)
        with _finished_file(backend, export) as file, watch_export.aborting_when_lost(backend, export, delivery.abort):
            reply = delivery.deliver(export, file)
    except DeliveryFailed as failure:
        return try_later(backend, conn, export, failure)
    done = export_repository.mark_done(conn, export, reply)
    crash_points.reach("marked done", export.attempt)
    audit_log.note(
        "export done",
        export=done.id,
        user=done.created_by,
        attempt=done.attempt,
        rows=done.rows,
        bytes=done.bytes,
        seconds=_seconds_since_accepted(done),
        reply=reply,
    )
    if delivery.consumes_file:
        delete_files.delete(stored_file(backend, export))
    return done


def _finished_file(backend: Backend, export: Export) -> BinaryIO:
    """Waiting may help, as when a shared folder was gone for a moment; after the limit `retry` writes it anew."""
    try:
        return export_file.open_finished(backend.settings.storage_dir, export.file_name, export.bytes)
    except FileDamaged as damage:
        check_storage.require_storage(backend)  # put off, uncounted, until the folder is there again
        logger.error("file not delivered: id=%d file=%s reason=%s", export.id, export.file_name, damage.text)  # noqa: TRY400
        raise DeliveryFailed(damage.text, permanent=True) from None


def _delivery(backend: Backend, conn: Connection, export: Export) -> Delivery:
    target = export.settings.ftp
    if target is None:
        return LocalDelivery()
    if backend.settings.ftp_tls_required and not target.tls:  # accepted before the setting was made
        raise ExportFailed(PLAIN_FTP_REFUSED)
    try:
        password = backend.secrets.decrypt(export.ftp_secret) if export.ftp_secret else ""
    except (SecretUnreadable, SettingsError) as error:
        raise DeliveryFailed(error.text, permanent=False) from None
    address = backend.guard.resolve(target.host, target.port)
    temporary_name = target.temporary_name or backend.settings.ftp_temporary_name
    return FtpDelivery(
        target,
        address,
        password,
        timeout=backend.settings.ftp_timeout,
        ca_file=backend.settings.ftp_ca_file,
        temporary_name=temporary_name,
        traits=host_traits.remembered(conn, target, password, temporary_name),
        require_open=backend.guard.resolve,
        may_appear=partial(require_ours, conn, export),
        may_remove=partial(_is_of_no_use, backend, export),
    )


def require_ours(conn: Connection, export: Export) -> None:
    """Raises ExportLost when this session or this attempt has lost its export."""
    export_lock.require_still_held(conn, export.setting_key)
    export_repository.require_attempt(conn, export)


def _is_of_no_use(backend: Backend, export: Export) -> bool:
    """True when no other attempt has the file of the export, or may have delivered it; the session may be lost."""
    try:
        with backend.database.transaction() as conn:
            now = export_repository.get(conn, export.id)
    except DatabaseUnavailable:
        return False
    return now.attempt == export.attempt or now.status is ExportStatus.ERROR


def try_later(backend: Backend, conn: Connection, export: Export, failure: DeliveryFailed) -> Export:
    """Notes a failed delivery: the next attempt has its due time, or the export ends in error. Raises ExportLost."""
    audit_log.note(
        "delivery failed", export=export.id, user=export.created_by, attempt=export.attempt, error=failure.text
    )
    given_up = failure.permanent and export.permanent_failures + 1 >= PERMANENT_FAILURES_LIMIT
    limit = timedelta(seconds=backend.settings.delivery_limit)
    if export.ready_at is not None and change_repository.clock(conn) - export.ready_at >= limit:
        given_up = True
    if export.settings.ftp is None:
        return export_repository.mark_error(conn, export, failure.text)
    if given_up:
        return export_repository.mark_error(conn, export, failure.text, reply=failure.text)
    delay = RETRY_SECONDS[min(export.delivery_attempts, len(RETRY_SECONDS)) - 1]
    return export_repository.postpone_delivery(conn, export, delay, failure.text, permanent=failure.permanent)


def _seconds_since_accepted(export: Export) -> float | None:
    if export.finished_at is None:
        return None
    return round((export.finished_at - export.created_at).total_seconds(), 3)


def stored_file(backend: Backend, export: Export) -> Path:
    """Where the finished file of an export lies, or lay."""
    return backend.settings.storage_dir / export.file_name

"""Distribution method `ftp`: upload under a temporary name, compare the size, rename (RFC 959, RFC 3659 for SIZE)."""

import contextlib
import ftplib
import logging
import os
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import BinaryIO

from contactexport import crash_points
from contactexport.delivery import ftp_folder
from contactexport.delivery.ftp_connection import FtpConnection, tls_context
from contactexport.delivery.ftp_errors import FTP_ERRORS, NOT_IMPLEMENTED, Unconfirmed, failure, one_line, reply_code
from contactexport.delivery.ftp_time_limit import AROUND_TIMEOUTS, delivery_seconds, interrupted_after
from contactexport.errors import DeliveryFailed, ExportLost
from contactexport.internet_host import parse_host
from contactexport.models import Export, FtpTarget

# Tidying up and saying goodbye may fail, but must not take long.
SHORT_SECONDS = 5.0

logger = logging.getLogger(__name__)


@dataclass
class _Upload:
    file: BinaryIO
    final: str
    attempt: int
    size: int
    begun: bool = False

    @property
    def part(self) -> str:
        return f"{self.final}.{self.attempt}.part"

    @property
    def aside(self) -> str:
        return f"{self.final}.0.part"

    @property
    def leftovers(self) -> Iterator[str]:
        earlier = range(self.attempt if self.attempt > 1 else 0)  # with what was moved aside; the first finds nothing
        return (f"{self.final}.{attempt}.part" for attempt in earlier)


class FtpDelivery:
    """Delivers to one target by the numeric address its host was resolved to; `timeout` in seconds, for one reply.

    `may_appear` is called right before the file gets its name and may raise: then it does not appear.
    """

    consumes_file = True

    def __init__(
        self,
        target: FtpTarget,
        address: str,
        password: str,
        *,
        timeout: float,
        ca_file: Path | None = None,
        may_appear: Callable[[], None] = lambda: None,
    ) -> None:
        self._target = target
        self._address = address
        self._password = password
        self._timeout = timeout
        self._ca_file = ca_file
        self._may_appear = may_appear
        self._aborted = threading.Event()
        self._late = threading.Event()
        self._connection: FtpConnection | None = None

    def deliver(self, export: Export, file: BinaryIO) -> str:
        """Uploads the file and returns the host's last reply; the folder then holds it complete, under its name.

        Otherwise nothing of it is left, unless the host cannot be reached any more: then the next attempt removes
        that. Ends after ftp_time_limit.delivery_seconds, whatever the host does. Raises DeliveryFailed, ExportLost,
        and what `may_appear` raises.
        """
        upload = _Upload(file, export.file_name, export.attempt, os.fstat(file.fileno()).st_size)
        limit = delivery_seconds(self._timeout, upload.size)
        try:
            with interrupted_after(limit, lambda: self._stop(self._late)):
                reply = one_line(self._deliver(upload), self._password)
                crash_points.reach("upload renamed", upload.attempt)
                return reply
        except BaseException as error:
            if upload.begun:
                self._remove_part(upload)
            outcome = self._outcome(error, limit)
            if outcome is error:
                raise
            raise outcome from None

    def abort(self) -> None:
        """Closes the connections of a running `deliver`, which then raises ExportLost."""
        self._stop(self._aborted)

    def _stop(self, reason: threading.Event) -> None:
        reason.set()
        if self._connection is not None:
            self._connection.interrupt()

    def _outcome(self, error: BaseException, limit: float) -> BaseException:
        if self._aborted.is_set():
            return ExportLost("the upload was stopped")
        if not isinstance(error, (*FTP_ERRORS, Unconfirmed)):
            return error
        if self._late.is_set():
            return DeliveryFailed(f"FTP host: took longer than {limit:.0f} s", permanent=False)
        return failure(error, self._password)

    def _deliver(self, upload: _Upload) -> str:
        try:
            with self._connected() as ftp:
                _remove(ftp, *upload.leftovers)
                return self._upload(ftp, upload)
        except Unconfirmed as doubt:
            logger.info("upload of %s is not confirmed: %r", upload.part, doubt.__cause__)
        with self._connected() as ftp:
            return self._settle(ftp, upload)

    def _upload(self, ftp: FtpConnection, upload: _Upload) -> str:
        upload.begun = True
        crash_points.reach("upload begun", upload.attempt)
        upload.file.seek(0)
        ftp.send_file(upload.part, upload.file)
        try:
            ftp.last_reply()
            crash_points.reach("file uploaded", upload.attempt)
            _require_size(ftp, upload)
            return self._rename(ftp, upload)
        except (OSError, EOFError) as lost:
            raise Unconfirmed from lost

    def _settle(self, ftp: FtpConnection, upload: _Upload) -> str:
        size = _size(ftp, upload.part)
        if size == upload.size:
            return self._rename(ftp, upload)
        if size is None and _size(ftp, upload.final) == upload.size:
            return "the file is there; the reply to its renaming was lost"
        return self._upload(ftp, upload)

    def _rename(self, ftp: FtpConnection, upload: _Upload) -> str:
        self._may_appear()
        # A refusal here means that the part is gone: another attempt has taken over, and a finished file may be its.
        reply = ftp.sendcmd(f"RNFR {upload.part}")
        if reply[0] != "3":
            raise ftplib.error_reply(reply)
        crash_points.reach("rename begun", upload.attempt)
        try:
            return ftp.voidcmd(f"RNTO {upload.final}")
        except (ftplib.error_perm, ftplib.error_temp) as refusal:
            return self._replace(ftp, upload, refusal)

    def _replace(self, ftp: FtpConnection, upload: _Upload, refusal: ftplib.Error) -> str:
        """For hosts that do not rename onto a file that exists, left by an attempt that died right after its rename.

        It is moved aside and not deleted: if the part is gone, another attempt has taken over, and the file is its.
        """
        self._may_appear()
        crash_points.reach("upload to be replaced", upload.attempt)
        try:
            ftp.rename(upload.final, upload.aside)
        except ftplib.Error:
            raise refusal from None  # there is none: the name was refused for another reason
        try:
            reply = ftp.rename(upload.part, upload.final)
        except ftplib.Error:
            ftp.rename(upload.aside, upload.final)
            raise refusal from None
        _remove(ftp, upload.aside)
        return reply

    @cached_property
    def _context(self) -> ssl.SSLContext | None:
        return tls_context(self._ca_file) if self._target.tls else None

    @contextmanager
    def _connected(self) -> Iterator[FtpConnection]:
        self._connection = FtpConnection(self._context, self._timeout)
        if self._aborted.is_set() or self._late.is_set():
            raise ConnectionAbortedError("interrupted")
        with self._entered(self._connection) as ftp:
            yield ftp

    @contextmanager
    def _entered(self, ftp: FtpConnection) -> Iterator[FtpConnection]:
        try:
            ftp.open(self._address, self._target.port, str(parse_host(self._target.host)))
            ftp.log_in(self._target.username, self._password)
            ftp_folder.enter(ftp, self._target.folder)
            yield ftp
            with contextlib.suppress(*FTP_ERRORS):
                ftp.say_goodbye(min(self._timeout, SHORT_SECONDS))
        finally:
            ftp.close()

    def _remove_part(self, upload: _Upload) -> None:
        """Over a new connection: the state of the other one is not known."""
        seconds = min(self._timeout, SHORT_SECONDS)
        short = FtpConnection(self._context, seconds)
        with (
            contextlib.suppress(DeliveryFailed, *FTP_ERRORS),
            interrupted_after(AROUND_TIMEOUTS * seconds, short.interrupt),
            self._entered(short) as ftp,
        ):
            _remove(ftp, upload.part)


def _remove(ftp: FtpConnection, *names: str) -> bool:
    """True when something was removed."""
    removed = False
    for name in names:
        with contextlib.suppress(ftplib.Error):  # most attempts have left nothing
            ftp.delete(name)
            removed = True
    return removed


def _size(ftp: FtpConnection, name: str) -> int | None:
    try:
        return ftp.size(name)
    except ftplib.error_perm:
        return None


def _require_size(ftp: FtpConnection, upload: _Upload) -> None:
    try:
        found = ftp.size(upload.part)
    except ftplib.error_perm as refusal:
        if reply_code(refusal) in NOT_IMPLEMENTED:
            return  # a host older than RFC 3659: its word that the transfer is complete must do
        found = None
    if found != upload.size:
        raise DeliveryFailed(f"The FTP host has {found or 0} bytes of {upload.size}", permanent=False)

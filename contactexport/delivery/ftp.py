"""Distribution method `ftp`: one upload over as many connections as it takes, within a time limit (RFC 959)."""

import contextlib
import logging
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import BinaryIO

from contactexport import crash_points
from contactexport.delivery import ftp_folder
from contactexport.delivery.ftp_connection import FtpConnection, tls_context
from contactexport.delivery.ftp_errors import FTP_ERRORS, Unconfirmed, failure, one_line
from contactexport.delivery.ftp_time_limit import delivery_seconds, interrupted_after
from contactexport.delivery.ftp_upload import FtpUpload
from contactexport.delivery.host_traits import HostTraits
from contactexport.errors import DeliveryFailed, ExportLost, HostRefused
from contactexport.internet_host import parse_host
from contactexport.models import Export, FtpTarget
from contactexport.setting_values import TEMPORARY_NAME

# Tidying up and saying goodbye may fail, but must not take long.
SHORT_SECONDS = 5.0

logger = logging.getLogger(__name__)


def _refuse_all(address: str, _port: int) -> None:
    raise HostRefused(f"Host {address} may not be connected to")


class FtpDelivery:
    """Delivers to one target by the numeric address its host was resolved to; `timeout` in seconds, for one reply.

    `temporary_name` is a pattern for names until the file is complete, `traits` what is known about the host.
    `require_open` raises HostRefused for another address that data may not be sent to. `may_appear` is called right
    before the file gets its name and may raise: then it does not appear. `may_remove` tells whether a file under its
    own name is of no use to anybody.
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
        temporary_name: str = TEMPORARY_NAME,
        traits: HostTraits | None = None,
        require_open: Callable[[str, int], object] = _refuse_all,
        may_appear: Callable[[], None] = lambda: None,
        may_remove: Callable[[], bool] = lambda: True,
    ) -> None:
        self._target = target
        self._address = address
        self._password = password
        self._timeout = timeout
        self._ca_file = ca_file
        self._temporary_name = temporary_name
        self._traits = traits or HostTraits()
        self._require_open = require_open
        self._may_appear = may_appear
        self._may_remove = may_remove
        self._aborted = threading.Event()
        self._late = threading.Event()
        self._connection: FtpConnection | None = None

    def deliver(self, export: Export, file: BinaryIO) -> str:
        """Uploads the file and returns the host's last reply; the host then has it complete, under its name.

        Otherwise nothing of it is left, unless the host cannot be reached any more: then the next attempt removes
        that. Ends after ftp_time_limit.delivery_seconds, whatever the host does. Raises DeliveryFailed, ExportLost,
        and what `may_appear` raises.
        """
        upload = FtpUpload(export, file, self._temporary_name, self._traits, self._may_appear)
        limit = delivery_seconds(self._timeout, upload.size)
        try:
            with interrupted_after(limit, lambda: self._stop(self._late)):
                reply = one_line(self._deliver(upload), self._password)
                crash_points.reach("upload renamed", export.attempt)
                return reply
        except BaseException as error:
            if upload.under_own_name is False or (upload.under_own_name and self._may_remove()):
                self._remove(upload)
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

    def _deliver(self, upload: FtpUpload) -> str:
        try:
            with self._connected() as ftp:
                return upload.run(ftp)
        except Unconfirmed as doubt:
            logger.info("upload of %s is not confirmed: %r", upload.part, doubt.__cause__)
            unconfirmed = doubt
        with self._connected() as ftp:
            return upload.settle(ftp, unconfirmed)

    @cached_property
    def _context(self) -> ssl.SSLContext | None:
        return tls_context(self._ca_file) if self._target.tls else None

    def _new_connection(self, seconds: float) -> FtpConnection:
        return FtpConnection(self._context, seconds, self._traits, self._require_open)

    @contextmanager
    def _connected(self) -> Iterator[FtpConnection]:
        self._connection = self._new_connection(self._timeout)
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

    def _remove(self, upload: FtpUpload) -> None:
        """Over a new connection: the state of the other one is not known."""
        seconds = min(self._timeout / 2, SHORT_SECONDS)
        short = self._new_connection(seconds)
        with (
            contextlib.suppress(DeliveryFailed, *FTP_ERRORS),
            interrupted_after(seconds, short.interrupt),
            self._entered(short) as ftp,
        ):
            upload.remove(ftp)

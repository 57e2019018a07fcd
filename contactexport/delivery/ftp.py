"""Distribution method `ftp`: one upload, over several connections if needed, within a time limit (RFC 959)."""

import contextlib
import logging
import os
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import KW_ONLY, dataclass, field, replace
from pathlib import Path
from typing import BinaryIO

from contactexport import crash_points
from contactexport.delivery.ftp_connection import FtpConnection, tls_context
from contactexport.delivery.ftp_errors import FTP_ERRORS, Unconfirmed, failure
from contactexport.delivery.ftp_upload import FtpUpload, enter_folder
from contactexport.delivery.ftp_wire import one_line
from contactexport.delivery.host_traits import HostTraits
from contactexport.delivery.time_limit import delivery_seconds, interrupted_after
from contactexport.errors import DeliveryFailed, ExportLost, HostRefused
from contactexport.exports.models import Export, FtpTarget
from contactexport.setting_values import TEMPORARY_NAME

# Cleaning up and QUIT may fail, but must not take long.
SHORT_SECONDS = 5.0
logger = logging.getLogger(__name__)


def _refuse_all(address: str, _port: int) -> None:
    raise HostRefused(f"Host {address} may not be connected to")


@dataclass(repr=False, eq=False)  # no text may show the password
class FtpDelivery:
    """Delivers to one target, at the numeric address of its host. `timeout` is in seconds, for one reply.

    `temporary_name` is the pattern of names during the upload. `traits` are the known traits of the host.
    `require_open` raises HostRefused for another address that must not get data. `before_publish` is called right
    before the file gets its final name. If it raises, the file does not appear. `may_remove` tells whether a file under
    its final name is of no use to anybody.
    """

    target: FtpTarget
    address: str
    password: str
    _: KW_ONLY
    timeout: float
    ca_file: Path | None = None
    temporary_name: str = TEMPORARY_NAME
    traits: HostTraits = field(default_factory=HostTraits)
    require_open: Callable[[str, int], object] = _refuse_all
    before_publish: Callable[[], None] = lambda: None
    may_remove: Callable[[], bool] = lambda: True
    consumes_file: bool = field(default=True, init=False)
    _tls: ssl.SSLContext | None = field(default=None, init=False)
    _aborted: threading.Event = field(default_factory=threading.Event, init=False)
    _late: threading.Event = field(default_factory=threading.Event, init=False)
    _connection: FtpConnection | None = field(default=None, init=False)

    def deliver(self, export: Export, file: BinaryIO) -> str:
        """Uploads the file and returns the last reply of the host. The host then has it complete, under its name.

        After an error nothing of it is left, unless the host is unreachable. Then the next attempt removes it. Ends
        after `delivery_seconds`, whatever the host does. Raises DeliveryFailed, ExportLost, and what
        `before_publish` raises.
        """
        upload = FtpUpload(export, file, self.temporary_name, self.traits, self.before_publish)
        limit = delivery_seconds(self.timeout, upload.size)
        try:
            if self.target.tls:
                self._tls = tls_context(self.ca_file)
            with interrupted_after(limit, lambda: self._stop(self._late)):
                try:
                    with self._connected() as ftp:
                        reply = upload.run(ftp)
                except Unconfirmed as doubt:
                    logger.info("upload of %s is not confirmed: %r", upload.part, doubt.__cause__)
                    with self._connected() as ftp:
                        reply = upload.settle(ftp, doubt)
                reply = one_line(reply, self.password)
                crash_points.reach("upload renamed", export.attempt)
                return reply
        except BaseException as error:
            if upload.under_own_name is False or (upload.under_own_name and self.may_remove()):
                self._remove(upload)
            outcome = self._outcome(error, limit)
            if outcome is error:
                raise
            raise outcome from None

    def deliver_manifest(self, export: Export) -> None:
        """Uploads it like a file, over connections of its own. Raises what `deliver` raises."""
        with os.fdopen(os.memfd_create("manifest"), "w+b") as file:
            file.write((export.manifest or "").encode())
            file.flush()
            self.deliver(replace(export, file_name=export.manifest_name), file)

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
        return failure(error, self.password)

    @contextmanager
    def _connected(self) -> Iterator[FtpConnection]:
        ftp = self._connection = FtpConnection(self._tls, self.timeout, self.traits, self.require_open)
        if self._aborted.is_set() or self._late.is_set():
            raise ConnectionAbortedError("interrupted")
        try:
            ftp.open(self.target, self.address, self.password)
            if self.target.folder is not None:
                enter_folder(ftp, self.target.folder)
            yield ftp
            with contextlib.suppress(*FTP_ERRORS):
                ftp.reply_seconds = min(self.timeout, SHORT_SECONDS)
                ftp.quit()
        finally:
            ftp.close()

    def _remove(self, upload: FtpUpload) -> None:
        """Uses a new connection, because the state of the other one is unknown."""
        seconds = min(self.timeout / 2, SHORT_SECONDS)
        ftp = FtpConnection(self._tls, seconds, self.traits, self.require_open)
        with (
            contextlib.suppress(DeliveryFailed, *FTP_ERRORS),
            interrupted_after(seconds, ftp.interrupt),
            contextlib.closing(ftp),
        ):
            ftp.open(self.target, self.address, self.password)
            if self.target.folder is not None:
                enter_folder(ftp, self.target.folder)
            upload.remove(ftp)
            ftp.quit()

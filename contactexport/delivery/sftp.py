"""Distribution method `sftp`: one upload within a time limit."""

import logging
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import KW_ONLY, dataclass, field, replace
from typing import BinaryIO

from contactexport import crash_points
from contactexport.delivery.ftp_wire import one_line
from contactexport.delivery.host_traits import HostTraits
from contactexport.delivery.sftp_connection import SftpConnection
from contactexport.delivery.sftp_credentials import SftpCredentials
from contactexport.delivery.sftp_errors import CONNECTION_ERRORS, SFTP_ERRORS, failure
from contactexport.delivery.sftp_upload import SftpUpload
from contactexport.delivery.sftp_wire import SftpSession
from contactexport.delivery.time_limit import delivery_seconds, interrupted_after
from contactexport.errors import DeliveryFailed, ExportLost
from contactexport.exports.models import Export, SftpTarget
from contactexport.setting_values import TEMPORARY_NAME

# Cleaning up may fail, but must not take long.
SHORT_SECONDS = 5.0

logger = logging.getLogger(__name__)


@dataclass(repr=False, eq=False)  # no text may show the credentials
class SftpDelivery:
    """Delivers to one target, at the numeric address of its host. `timeout` is in seconds, for one reply.

    `temporary_name`, `traits`, `before_publish` and `may_remove` are as for FtpDelivery.
    """

    target: SftpTarget
    address: str
    credentials: SftpCredentials
    _: KW_ONLY
    timeout: float
    temporary_name: str = TEMPORARY_NAME
    traits: HostTraits = field(default_factory=HostTraits)
    before_publish: Callable[[], None] = lambda: None
    may_remove: Callable[[], bool] = lambda: True
    consumes_file: bool = field(default=True, init=False)
    _aborted: threading.Event = field(default_factory=threading.Event, init=False)
    _late: threading.Event = field(default_factory=threading.Event, init=False)
    _connection: SftpConnection | None = field(default=None, init=False)

    def deliver(self, export: Export, file: BinaryIO) -> str:
        """Uploads the file and returns what the host did. The host then has it complete, under its name.

        After an error nothing of it is left, unless the host is unreachable. Then the next attempt removes it. Ends
        after `delivery_seconds`, whatever the host does. Raises DeliveryFailed, ExportLost, and what
        `before_publish` raises.
        """
        upload = SftpUpload(export, file, self.target.folder, self.temporary_name, self.traits, self.before_publish)
        limit = delivery_seconds(self.timeout, export.bytes or 0)
        try:
            with interrupted_after(limit, lambda: self._stop(self._late)):
                try:
                    with self._connected(self.timeout) as sftp:
                        reply = upload.run(sftp)
                except CONNECTION_ERRORS as lost:
                    if not upload.in_doubt:
                        raise
                    logger.info("rename of %s is not confirmed: %r", export.file_name, lost)
                    with self._connected(self.timeout) as sftp:
                        reply = upload.settle(sftp)
            reply = one_line(reply, self.credentials.password or "")
            crash_points.reach("upload renamed", export.attempt)
        except BaseException as error:
            if upload.under_own_name is False or (upload.under_own_name and self.may_remove()):
                self._remove(upload)
            outcome = self._outcome(error, limit)
            if outcome is error:
                raise
            raise outcome from None
        return reply

    def deliver_manifest(self, export: Export) -> None:
        """Uploads it like a file, over a connection of its own. Raises what `deliver` raises."""
        content = (export.manifest or "").encode()
        with os.fdopen(os.memfd_create("manifest"), "w+b") as file:
            file.write(content)
            file.flush()
            self.deliver(replace(export, file_name=export.manifest_name, bytes=len(content)), file)

    def abort(self) -> None:
        """Closes the connection of a running `deliver`, which then raises ExportLost."""
        self._stop(self._aborted)

    def _stop(self, reason: threading.Event) -> None:
        reason.set()
        if self._connection is not None:
            self._connection.interrupt()

    def _outcome(self, error: BaseException, limit: float) -> BaseException:
        if self._aborted.is_set():
            return ExportLost("the upload was stopped")
        if not isinstance(error, SFTP_ERRORS):
            return error
        if self._late.is_set():
            return DeliveryFailed(f"SFTP host: took longer than {limit:.0f} s", permanent=False)
        return failure(error, filter(None, (self.credentials.password,)))

    @contextmanager
    def _connected(self, timeout: float) -> Iterator[SftpSession]:
        connection = self._connection = SftpConnection(timeout)
        if self._aborted.is_set() or self._late.is_set():
            raise ConnectionAbortedError("interrupted")
        try:
            yield connection.open(self.target, self.address, self.credentials)
        finally:
            connection.close()

    def _remove(self, upload: SftpUpload) -> None:
        """Uses a new connection, because the state of the other one is unknown."""
        seconds = min(self.timeout / 2, SHORT_SECONDS)
        connection = SftpConnection(seconds)
        with suppress(DeliveryFailed, *SFTP_ERRORS), interrupted_after(seconds, connection.interrupt):
            try:
                upload.remove(connection.open(self.target, self.address, self.credentials))
            finally:
                connection.close()

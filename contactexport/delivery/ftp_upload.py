"""One upload, from the temporary name over the size to the file's own name (RFC 959, RFC 3659 for SIZE).

Hosts that do otherwise get the file in their way (docs/decisions/hosts.md): what each of them does is learned from its
replies. A process may die on any line. The next attempt then removes or overwrites what is left, and the host has one
file. Only a host that takes files away has it twice if the process dies between its last byte and `done`.
"""

import contextlib
import ftplib
import os
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import BinaryIO

from contactexport import crash_points
from contactexport.delivery import ftp_folder
from contactexport.delivery.ftp_connection import FtpConnection
from contactexport.delivery.ftp_errors import (
    NAME_REFUSED,
    Unconfirmed,
    reply_code,
    says_absent,
    says_busy,
    says_denied,
)
from contactexport.delivery.host_traits import HostTrait, HostTraits
from contactexport.errors import DeliveryFailed
from contactexport.models import Export

NO_TEMPORARY_NAME = "%s"
SIZE_LOOK_SECONDS = 0.5
IS_THERE = "the file is there; the reply to it was lost"


class FtpUpload:
    """The upload of one attempt at a delivery.

    `temporary_name` is a pattern whose %s stands for the file's name and the attempt; `%s` alone means the file's own
    name. `may_appear` is called right before the file gets its own name, and raises when it must not.
    """

    def __init__(
        self, export: Export, file: BinaryIO, temporary_name: str, traits: HostTraits, may_appear: Callable[[], None]
    ) -> None:
        self.size = os.fstat(file.fileno()).st_size
        self._file = file
        self._final = export.file_name
        self._attempt = export.attempt
        self._temporary_name = temporary_name
        self._traits = traits
        self._may_appear = may_appear
        self._name: str | None = None  # the one that it was sent under last
        self._size_refusal = ""

    @property
    def part(self) -> str:
        """The temporary name."""
        return self._part(self._attempt)

    @property
    def under_own_name(self) -> bool | None:
        """Whether what was sent has the file's own name; None before the first byte."""
        return None if self._name is None else self._name == self._final

    def run(self, ftp: FtpConnection) -> str:
        """Uploads the file; returns the host's last reply. Raises Unconfirmed when it is not known what has arrived."""
        # What earlier attempts have left, and what was moved aside; the first finds nothing.
        _remove(ftp, *(self._part(attempt) for attempt in range(self._attempt if self._attempt > 1 else 0)))
        return self._send(ftp)

    def settle(self, ftp: FtpConnection, doubt: Unconfirmed) -> str:
        """Goes on after Unconfirmed, over a new connection: what has arrived whole is not sent again."""
        if self._name is not None and self._size_at_rest(ftp, self._name) == self.size:
            return IS_THERE if self._name == self._final else self._rename(ftp, confirmed=False) or self._send(ftp)
        if self._name != self._final and _size(ftp, self._final)[0] == self.size:
            return IS_THERE
        if isinstance(doubt.__cause__, TimeoutError):
            raise doubt  # a host that is silent would be waited for once more
        return self._send(ftp)

    def remove(self, ftp: FtpConnection) -> None:
        """Removes what was sent and is of no use."""
        if self._name is not None:
            _remove(ftp, self._name)

    def _send(self, ftp: FtpConnection) -> str:
        name, data = self._begun(ftp)
        self._file.seek(0)
        unbroken = ftp.send_file(data, self._file)
        with _in_doubt_when_lost():
            reply = self._require_whole(ftp, name, unbroken)
            renamed = reply if name == self._final else self._rename(ftp, confirmed=True)
        return renamed or self._send(ftp)  # under its own name, as is known by now

    def _begun(self, ftp: FtpConnection) -> tuple[str, socket.socket]:
        """The name under which the host takes the file, and the connection for its content."""
        if self._temporary_name == NO_TEMPORARY_NAME or self._traits.own_name:
            return self._final, self._begun_under_own_name(ftp)
        ftp_folder.make(ftp, self.part.rpartition("/")[0])
        try:
            return self.part, self._begun_under(ftp, self.part)
        except ftplib.error_perm as refusal:
            if reply_code(refusal) not in NAME_REFUSED or says_busy(refusal):
                raise
            data = self._begun_under_own_name(ftp)
            self._traits.learn(HostTrait.NO_TEMPORARY_NAME, str(refusal))
            return self._final, data

    def _begun_under_own_name(self, ftp: FtpConnection) -> socket.socket:
        self._may_appear()
        try:
            return self._begun_under(ftp, self._final)
        except ftplib.error_perm:
            # Some hosts overwrite nothing, and an attempt that died may have left a part of the file.
            if not _remove(ftp, self._final):
                raise
            return self._begun_under(ftp, self._final)

    def _begun_under(self, ftp: FtpConnection, name: str) -> socket.socket:
        self._name = name
        crash_points.reach("upload begun", self._attempt)
        return ftp.begin_upload(name)

    def _require_whole(self, ftp: FtpConnection, name: str, unbroken: bool) -> str:
        """The host's reply to the whole file. Its size decides, whatever the reply; without it a good reply must do."""
        refusal = None
        try:
            reply = ftp.last_reply()
        except ftplib.error_temp as refused:
            reply, refusal = str(refused), refused
        crash_points.reach("file uploaded", self._attempt)
        found, self._size_refusal = _size(ftp, name)
        if found == self.size:
            self._traits.forget(HostTrait.NO_SIZE)
            if refusal is not None:
                self._traits.learn(HostTrait.LATE_REFUSAL, reply)
        elif refusal is not None:
            raise refusal
        elif found is not None:
            raise DeliveryFailed(f"The FTP host has {found} bytes of {self.size}", permanent=False)
        elif not unbroken:
            raise DeliveryFailed(
                "FTP host: the data connection was cut before its end, and the size of the file is not told",
                permanent=False,
            )
        return reply

    def _rename(self, ftp: FtpConnection, *, confirmed: bool) -> str | None:
        """The host's reply; None when it does not rename and the file has to be sent again under its own name."""
        self._may_appear()
        try:
            reply = ftp.sendcmd(f"RNFR {self.part}")
        except (ftplib.error_perm, ftplib.error_temp) as refusal:
            if not confirmed:
                raise
            return self._not_renamed(ftp, refusal, found=False)
        if reply[0] != "3":
            raise ftplib.error_reply(reply)
        crash_points.reach("rename begun", self._attempt)
        try:
            reply = ftp.voidcmd(f"RNTO {self._final}")
        except (ftplib.error_perm, ftplib.error_temp) as refusal:
            return self._replace(ftp, refusal)
        if self._size_refusal:  # not told, although the file was there
            self._traits.learn(HostTrait.NO_SIZE, self._size_refusal)
        return reply

    def _replace(self, ftp: FtpConnection, refusal: ftplib.Error) -> str | None:
        """For hosts that do not rename onto a file that exists, left by an attempt that died right after its rename.

        It is moved aside and not deleted: if the part is gone, another attempt has taken over, and the file is its.
        """
        self._may_appear()
        crash_points.reach("upload to be replaced", self._attempt)
        aside = self._part(0)
        try:
            ftp.rename(self._final, aside)
        except ftplib.Error:  # there is none: the name was refused for another reason
            return self._not_renamed(ftp, refusal, found=True)
        try:
            reply = ftp.rename(self.part, self._final)
        except ftplib.Error:
            ftp.rename(aside, self._final)
            raise refusal from None
        _remove(ftp, aside)
        return reply

    def _not_renamed(self, ftp: FtpConnection, refusal: ftplib.Error, *, found: bool) -> str | None:
        """The host has had the whole file and refuses to rename it, be it that it `found` the file to rename.

        Either it has taken the file away, and so it is delivered, or it renames nothing.
        """
        self._may_appear()  # whoever takes over removes the part, and the host would say the same
        there = _is_there(ftp, self.part)
        # A host that has told the size before would do so again.
        gone = not there and (says_absent(refusal) or not self._size_refusal)
        if says_busy(refusal) and not gone:
            raise refusal
        if gone or not (there or found or says_denied(refusal) or _remove(ftp, self.part)):
            self._traits.learn(HostTrait.ARCHIVES, str(refusal))
            return f"taken away as {self.part}: {refusal}"
        self._traits.learn(HostTrait.NO_RENAME, str(refusal))
        crash_points.reach("rename refused", self._attempt)
        _remove(ftp, self.part)
        return None

    def _size_at_rest(self, ftp: FtpConnection, name: str) -> int | None:
        """The size once it does not grow any more: the host may still be taking what was sent."""
        last, (found, _) = None, _size(ftp, name)
        while found is not None and found != last and found < self.size:
            time.sleep(SIZE_LOOK_SECONDS)
            last, (found, _) = found, _size(ftp, name)
        return found

    def _part(self, attempt: int) -> str:
        return self._temporary_name.replace("%s", f"{self._final}.{attempt}")


@contextmanager
def _in_doubt_when_lost() -> Iterator[None]:
    try:
        yield
    except (OSError, EOFError) as lost:
        raise Unconfirmed from lost


def _remove(ftp: FtpConnection, *names: str) -> bool:
    """True when something was removed."""
    removed = False
    for name in names:
        with contextlib.suppress(ftplib.Error):  # most attempts have left nothing
            ftp.delete(name)
            removed = True
    return removed


def _size(ftp: FtpConnection, name: str) -> tuple[int | None, str]:
    """The size and nothing, or None and why the host does not tell it."""
    try:
        found = ftp.size(name)
    except (ftplib.error_perm, ftplib.error_temp) as refusal:
        return None, str(refusal)
    return found, "" if found is not None else "no reply to SIZE that tells it"


def _is_there(ftp: FtpConnection, name: str) -> bool:
    """True when the host knows the size or the time of the file."""
    for command in ("SIZE", "MDTM"):
        with contextlib.suppress(ftplib.Error):
            if ftp.sendcmd(f"{command} {name}")[:3] == "213":
                return True
    return False

"""One upload: under the temporary name, size compared, renamed to the final name (RFC 959, RFC 3659 for SIZE).

The folder of the target is entered segment by segment, and created if missing (contract, Request).

Hosts that behave differently get the file in another way (docs/decisions/hosts.md). Their replies show which one. A
process may die on any line. The next attempt then removes or overwrites what is left, and the host has one file. Only a
host that takes files away gets it twice if the process dies between the last byte and `done`.
"""

import contextlib
import ftplib
import os
import socket
import time
from collections.abc import Callable
from typing import BinaryIO

from contactexport import crash_points
from contactexport.delivery.ftp_connection import FtpConnection, in_latin_1
from contactexport.delivery.ftp_errors import (
    NAME_REFUSED,
    Unconfirmed,
    reply_code,
    says_absent,
    says_busy,
    says_denied,
)
from contactexport.delivery.host_traits import ASIDE, NO_TEMPORARY_NAME, OWN_NAME, HostTrait, HostTraits, left_by
from contactexport.errors import DeliveryFailed
from contactexport.exports.models import Export

SIZE_LOOK_SECONDS = 0.5
IS_THERE = "the file is there; the reply to it was lost"


class FtpUpload:
    """The upload of one attempt at a delivery.

    `temporary_name` is a pattern. Its %s stands for the final name and the attempt. `%s` alone means the final name.
    `before_publish` is called right before the file gets its final name. It raises if the file must not appear.
    """

    def __init__(
        self,
        export: Export,
        file: BinaryIO,
        temporary_name: str,
        traits: HostTraits,
        before_publish: Callable[[], None],
    ) -> None:
        self.size = file.seek(0, os.SEEK_END)
        self._file = file
        self._final = export.file_name
        self._attempt = export.attempt
        self._temporary_name = temporary_name
        self._traits = traits
        self._before_publish = before_publish
        self.part = self._part(export.attempt)  # the temporary name
        self._name: str | None = None  # under which it was sent last
        self._size_refusal = ""

    @property
    def under_own_name(self) -> bool | None:
        """Tells whether the file was sent under its final name. None before the first byte."""
        return None if self._name is None else self._name == self._final

    def run(self, ftp: FtpConnection) -> str:
        """Uploads the file and returns the last reply of the host. Raises Unconfirmed if the result is unknown."""
        _remove(ftp, *map(self._part, left_by(self._attempt)))
        return self._send(ftp)

    def settle(self, ftp: FtpConnection, doubt: Unconfirmed) -> str:
        """Continues after Unconfirmed over a new connection. A file that arrived whole is not sent again."""
        if self._name is not None and self._size_at_rest(ftp, self._name) == self.size:
            return IS_THERE if self._name == self._final else self._rename(ftp, confirmed=False) or self._send(ftp)
        if self._name != self._final and ftp.size_of(self._final)[0] == self.size:
            return IS_THERE
        if isinstance(doubt.__cause__, TimeoutError):
            raise doubt  # a silent host would cost another timeout
        return self._send(ftp)

    def remove(self, ftp: FtpConnection) -> None:
        """Removes the file that was sent."""
        if self._name is not None:
            _remove(ftp, self._name)

    def _send(self, ftp: FtpConnection) -> str:
        name = self._final
        if self._temporary_name == NO_TEMPORARY_NAME or OWN_NAME & self._traits.known:
            data = self._begun_under_own_name(ftp)
        else:
            folders = self.part.split("/")[:-1]
            for depth in range(len(folders)):
                if path := "/".join(folders[: depth + 1]):
                    with contextlib.suppress(ftplib.Error):  # it exists, or the upload will tell why it is refused
                        ftp.mkd(path)
            try:
                name, data = self.part, self._begun_under(ftp, self.part)
            except ftplib.error_perm as refusal:
                if reply_code(refusal) not in NAME_REFUSED or says_busy(refusal):
                    raise
                data = self._begun_under_own_name(ftp)
                self._traits.learn(HostTrait.NO_TEMPORARY_NAME, str(refusal))
        self._file.seek(0)
        unbroken = ftp.send_file(data, self._file)
        try:
            reply = self._require_whole(ftp, name, unbroken)
            renamed = reply if name == self._final else self._rename(ftp, confirmed=True)
        except (OSError, EOFError) as lost:
            raise Unconfirmed from lost
        return renamed or self._send(ftp)  # the traits now say: under its final name

    def _begun_under_own_name(self, ftp: FtpConnection) -> socket.socket:
        self._before_publish()
        try:
            return self._begun_under(ftp, self._final)
        except ftplib.error_perm:
            # Some hosts never overwrite a file, and a dead attempt may have left a part of it.
            if not _remove(ftp, self._final):
                raise
            return self._begun_under(ftp, self._final)

    def _begun_under(self, ftp: FtpConnection, name: str) -> socket.socket:
        """Returns the connection for the content, after the host has accepted a file of this name."""
        self._name = name
        crash_points.reach("upload begun", self._attempt)
        data = ftp.data_connection()
        try:
            reply = ftp.sendcmd(f"STOR {name}")
            if reply[0] == "2":  # some hosts confirm the command first
                reply = ftp.getresp()
            if reply[0] != "1":
                raise ftplib.error_reply(reply)
        except ftplib.Error:
            data.close()
            raise
        return data

    def _require_whole(self, ftp: FtpConnection, name: str, unbroken: bool) -> str:
        """Returns the reply to the whole file. The size decides, or if it is unknown, the reply."""
        refusal = None
        try:
            reply = ftp.voidresp()
        except ftplib.error_temp as refused:
            reply, refusal = str(refused), refused
        crash_points.reach("file uploaded", self._attempt)
        found, self._size_refusal = ftp.size_of(name)
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
        """Returns the reply. None if the host does not rename, so that the file must be sent under its final name."""
        self._before_publish()
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
        if self._size_refusal:  # no size was reported, although the file was there
            self._traits.learn(HostTrait.NO_SIZE, self._size_refusal)
        return reply

    def _replace(self, ftp: FtpConnection, refusal: ftplib.Error) -> str | None:
        """For hosts that do not rename onto an existing file, left by an attempt that died right after its rename.

        That file is moved aside, not deleted. If the part is gone, another attempt has taken over and owns the file.
        """
        self._before_publish()
        crash_points.reach("upload to be replaced", self._attempt)
        aside = self._part(ASIDE)
        try:
            ftp.rename(self._final, aside)
        except ftplib.Error:  # no such file: the host refused the name for another reason
            return self._not_renamed(ftp, refusal, found=True)
        try:
            reply = ftp.rename(self.part, self._final)
        except ftplib.Error:
            ftp.rename(aside, self._final)
            raise refusal from None
        _remove(ftp, aside)
        return reply

    def _not_renamed(self, ftp: FtpConnection, refusal: ftplib.Error, *, found: bool) -> str | None:
        """The host got the whole file and refuses to rename it. `found`: it accepted the name to rename from.

        Either the host took the file away, so the file is delivered, or the host never renames.
        """
        self._before_publish()  # another attempt that took over removes the part, with the same replies
        there = _is_there(ftp, self.part)
        # A host that reported the size before would do so again.
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
        """Returns the size when it has stopped growing, because the host may still be reading its buffers."""
        last, (found, _) = None, ftp.size_of(name)
        while found is not None and found != last and found < self.size:
            time.sleep(SIZE_LOOK_SECONDS)
            last, (found, _) = found, ftp.size_of(name)
        return found

    def _part(self, attempt: int) -> str:
        return self._temporary_name.replace("%s", f"{self._final}.{attempt}")


def _remove(ftp: FtpConnection, *names: str) -> bool:
    """Tells whether a file was removed."""
    removed = False
    for name in names:
        with contextlib.suppress(ftplib.Error):  # usually there is none
            ftp.delete(name)
            removed = True
    return removed


def _is_there(ftp: FtpConnection, name: str) -> bool:
    """Tells whether the host knows the size or the time of the file."""
    for command in ("SIZE", "MDTM"):
        with contextlib.suppress(ftplib.Error):
            if ftp.sendcmd(f"{command} {name}")[:3] == "213":
                return True
    return False


def enter_folder(ftp: FtpConnection, folder: str) -> None:
    """Changes into the folder. It starts at the home folder, or with a leading slash at the root."""
    if not folder.isascii() and ftp.announces_utf8():
        with contextlib.suppress(ftplib.Error):  # few hosts need it, and some do not know it
            ftp.voidcmd("OPTS UTF8 ON")
    if folder.startswith("/"):
        ftp.cwd("/")
    for segment in filter(None, folder.split("/")):
        encodings = ("utf-8", "latin-1") if in_latin_1(segment) else ("utf-8",)
        if not any(_entered(ftp, segment, encoding) for encoding in encodings):
            _make_folder(ftp, segment)
    ftp.encoding = "utf-8"


def _entered(ftp: FtpConnection, segment: str, encoding: str) -> bool:
    ftp.encoding = encoding
    try:
        ftp.cwd(segment)
    except ftplib.error_perm:
        return False
    return True


def _make_folder(ftp: FtpConnection, segment: str) -> None:
    ftp.encoding = "utf-8"
    if not segment.isascii() and not ftp.announces_utf8():
        raise DeliveryFailed(
            f"FTP host: it does not announce UTF8, so the new folder {segment!r} might get another name; "
            "create it there first, or use a name in ASCII",
            permanent=True,
        )
    try:
        ftp.mkd(segment)
    except ftplib.error_perm as refusal:
        # Another upload may have created it meanwhile. If not, the first refusal is the reason.
        if not _entered(ftp, segment, ftp.encoding):
            raise refusal from None
    else:
        ftp.cwd(segment)

"""One upload by SFTP: under the temporary name, size compared, renamed to the final name.

The folder of the target is created if it is missing. Hosts that behave differently get the file in another way: their
replies show which one. A process may die on any line. The next attempt then removes or overwrites what is left, and the
host has one file.
"""

import contextlib
from collections.abc import Callable
from typing import BinaryIO

from contactexport import crash_points
from contactexport.delivery.host_traits import ASIDE, NO_TEMPORARY_NAME, OWN_NAME, HostTrait, HostTraits, left_by
from contactexport.delivery.sftp_errors import ABSENT_CODES, PERMANENT_CODES, SftpFault, SftpRefused
from contactexport.delivery.sftp_wire import POSIX_RENAME, SftpSession
from contactexport.errors import DeliveryFailed
from contactexport.exports.models import Export


class SftpUpload:
    """The upload of one attempt at a delivery.

    `temporary_name` is a pattern. Its %s stands for the final name and the attempt. `%s` alone means the final name.
    `before_publish` is called right before the file gets its final name. It raises if the file must not appear.
    """

    def __init__(
        self,
        export: Export,
        file: BinaryIO,
        folder: str | None,
        temporary_name: str,
        traits: HostTraits,
        before_publish: Callable[[], None],
    ) -> None:
        self._file = file
        self._attempt = export.attempt
        self._folder = "/".join(filter(None, (folder or "").split("/")))
        if folder and folder.startswith("/"):
            self._folder = "/" + self._folder
        self._pattern = temporary_name
        self._name_of_file = export.file_name
        self._final = self._in_folder(export.file_name)
        self._traits = traits
        self._before_publish = before_publish
        self._sent_as: str | None = None
        self._confirmed: int | None = None  # the bytes of the part, once it may be renamed
        # True from the rename on: if the connection is lost then, nobody knows whether the host has done it.
        self.in_doubt = False

    @property
    def under_own_name(self) -> bool | None:
        """Tells whether the file was sent under its final name. None before the first byte."""
        return None if self._sent_as is None else self._sent_as == self._final

    def run(self, sftp: SftpSession) -> str:
        """Uploads the file and returns what the host did with it."""
        if self._folder:
            make_folders(sftp, self._folder)
        _remove(sftp, *map(self._part, left_by(self._attempt)))
        if self._pattern == NO_TEMPORARY_NAME or OWN_NAME & self._traits.known:
            return self._send_under_own_name(sftp)
        part = self._part(self._attempt)
        if len(folders := part.rpartition("/")[0]) > len(self._folder):
            make_folders(sftp, folders)
        try:
            handle = self._begun_under(sftp, part)
        except SftpRefused as refusal:
            if refusal.code not in PERMANENT_CODES:
                raise
            told = self._send_under_own_name(sftp)
            self._traits.learn(HostTrait.NO_TEMPORARY_NAME, str(refusal))
            return told
        self._send(sftp, handle, part)
        return self._rename(sftp, part)

    def settle(self, sftp: SftpSession) -> str:
        """Continues over a new connection if the one before was lost `in_doubt`. A renamed file is not sent again.

        Raises DeliveryFailed if the host has another file under the final name.
        """
        part = self._part(self._attempt)
        self.in_doubt = False
        if _size(sftp, part) is not None:
            return self._rename(sftp, part)
        self._before_publish()  # another attempt that took over removes the part
        found = _size(sftp, self._final)
        if found not in (None, self._confirmed):
            raise DeliveryFailed(f"The SFTP host has {found} bytes of {self._confirmed}", permanent=False)
        _remove(sftp, self._part(ASIDE))
        return "renamed, as a new connection shows" if found else "renamed, and taken away since"

    def remove(self, sftp: SftpSession) -> None:
        """Removes the file that was sent."""
        if self._sent_as is not None:
            _remove(sftp, self._sent_as)

    def _send_under_own_name(self, sftp: SftpSession) -> str:
        self._before_publish()
        try:
            handle = self._begun_under(sftp, self._final)
        except SftpRefused:
            # Some hosts never overwrite a file, and a dead attempt may have left a part of it.
            if not _remove(sftp, self._final):
                raise
            handle = self._begun_under(sftp, self._final)
        return f"stored {self._send(sftp, handle, self._final)} bytes"

    def _begun_under(self, sftp: SftpSession, path: str) -> bytes:
        """Returns the handle for the content, after the host has accepted a file of this name."""
        self._sent_as = path
        crash_points.reach("upload begun", self._attempt)
        return sftp.create(path)

    def _send(self, sftp: SftpSession, handle: bytes, path: str) -> int:
        """Sends the whole content and compares the size. Returns it. The host has confirmed every byte then."""
        self._file.seek(0)
        sent = sftp.write(handle, self._file, path)
        sftp.close_file(handle, path)
        crash_points.reach("file uploaded", self._attempt)
        try:
            found, refusal = sftp.size(path), "no size in its answer to stat"
        except SftpRefused as refused:
            found, refusal = None, str(refused)
        if found is None:  # a folder that may only be written to, or a host that has moved the file on
            self._traits.learn(HostTrait.NO_SIZE, refusal)
        elif found != sent:
            raise DeliveryFailed(f"The SFTP host has {found} bytes of {sent}", permanent=False)
        else:
            self._traits.forget(HostTrait.NO_SIZE)
            self._confirmed = sent
        return sent

    def _rename(self, sftp: SftpSession, part: str) -> str:
        self._before_publish()
        self.in_doubt = self._confirmed is not None  # a host that tells no sizes cannot be asked either
        crash_points.reach("rename begun", self._attempt)
        if POSIX_RENAME in sftp.extensions:  # replaces what an attempt has left that died right after its rename
            with contextlib.suppress(SftpRefused):
                sftp.replace(part, self._final)
                return "renamed"
        try:
            sftp.rename(part, self._final)
        except SftpRefused as refusal:
            return self._replace(sftp, part, refusal)
        return "renamed"

    def _replace(self, sftp: SftpSession, part: str, refusal: SftpRefused) -> str:
        """For hosts that do not rename onto an existing file.

        That file is moved aside, not deleted. If the part is gone, another attempt has taken over and owns the file.
        """
        self._before_publish()
        crash_points.reach("upload to be replaced", self._attempt)
        aside = self._part(ASIDE)
        try:
            sftp.rename(self._final, aside)
        except SftpRefused:  # no such file: the host refused the name for another reason
            return self._not_renamed(sftp, part, refusal)
        try:
            sftp.rename(part, self._final)
        except SftpRefused:
            sftp.rename(aside, self._final)
            raise refusal from None
        _remove(sftp, aside)
        return "renamed, after the file of an earlier attempt was moved aside"

    def _not_renamed(self, sftp: SftpSession, part: str, refusal: SftpRefused) -> str:
        """Either the host took the file away, so the file is delivered, or the host never renames."""
        self._before_publish()  # another attempt that took over removes the part, with the same replies
        there = _is_there(sftp, part)
        if not there and (refusal.code in ABSENT_CODES or not _remove(sftp, part)):
            self._traits.learn(HostTrait.ARCHIVES, str(refusal))
            return f"taken away as {part}: {refusal}"
        self._traits.learn(HostTrait.NO_RENAME, str(refusal))
        crash_points.reach("rename refused", self._attempt)
        self.in_doubt = False
        _remove(sftp, part)
        return self._send_under_own_name(sftp)

    def _part(self, attempt: int) -> str:
        return self._in_folder(self._pattern.replace("%s", f"{self._name_of_file}.{attempt}"))

    def _in_folder(self, name: str) -> str:
        if not self._folder or name.startswith("/"):
            return name
        return f"{self._folder.rstrip('/')}/{name}"


def make_folders(sftp: SftpSession, folder: str) -> None:
    """Makes the folder and those above it, as far as they are missing. It starts at the home folder, or at the root.

    Some hosts tell nothing about folders that they let us write to. So a refusal is raised for one that is absent only.
    """
    if _is_there(sftp, folder):
        return
    segments = folder.split("/")
    for path in filter(None, ("/".join(segments[:depth]) for depth in range(1, len(segments)))):
        with contextlib.suppress(SftpRefused):  # usually it exists
            sftp.make_folder(path)
    try:
        sftp.make_folder(folder)
    except SftpRefused as refusal:
        try:
            sftp.size(folder)
        except SftpRefused as absent:
            if absent.code in ABSENT_CODES:
                raise refusal from None


def _remove(sftp: SftpSession, *paths: str) -> bool:
    """Tells whether a file was removed."""
    removed = False
    for path in paths:
        with contextlib.suppress(SftpRefused):  # usually there is none
            sftp.remove(path)
            removed = True
    return removed


def _size(sftp: SftpSession, path: str) -> int | None:
    """The size of a file, or None if there is none. Raises SftpRefused, SftpFault if the host does not tell."""
    try:
        size = sftp.size(path)
    except SftpRefused as refusal:
        if refusal.code not in ABSENT_CODES:
            raise
        return None
    if size is None:
        raise SftpFault(f"its answer to a stat of {path} has no size")
    return size


def _is_there(sftp: SftpSession, path: str) -> bool:
    """Tells whether the host knows the file or folder."""
    try:
        sftp.size(path)
    except SftpRefused:
        return False
    return True

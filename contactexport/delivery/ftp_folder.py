"""The folder of an FTP target: entered segment by segment, and made where it does not exist (contract, Request)."""

import contextlib
import ftplib

from contactexport.delivery.ftp_connection import FtpConnection, in_latin_1
from contactexport.errors import DeliveryFailed


def enter(ftp: FtpConnection, folder: str | None) -> None:
    """Changes into the folder, from the user's own or, behind a leading slash, from the top."""
    if folder is None:
        return
    if not folder.isascii() and ftp.announces_utf8():
        with contextlib.suppress(ftplib.Error):  # few hosts need it, and not all know it
            ftp.voidcmd("OPTS UTF8 ON")
    if folder.startswith("/"):
        ftp.cwd("/")
    for segment in filter(None, folder.split("/")):
        if not any(_entered(ftp, segment, encoding) for encoding in _encodings(segment)):
            _make(ftp, segment)
    ftp.encoding = "utf-8"


def _encodings(name: str) -> tuple[str, ...]:
    return ("utf-8", "latin-1") if in_latin_1(name) else ("utf-8",)


def _entered(ftp: FtpConnection, segment: str, encoding: str) -> bool:
    ftp.encoding = encoding
    try:
        ftp.cwd(segment)
    except ftplib.error_perm:
        return False
    return True


def _make(ftp: FtpConnection, segment: str) -> None:
    ftp.encoding = "utf-8"
    if not segment.isascii() and not ftp.announces_utf8():
        raise DeliveryFailed(
            f"FTP host: it does not announce UTF8, so the new folder {segment!r} might get another name; "
            "make it there first, or name one in ASCII",
            permanent=True,
        )
    try:
        ftp.mkd(segment)
    except ftplib.error_perm as refusal:
        # Another upload may have made it in between; if not, the reason is why it could not be made.
        if not _entered(ftp, segment, ftp.encoding):
            raise refusal from None
    else:
        ftp.cwd(segment)


def make(ftp: FtpConnection, folder: str) -> None:
    """Makes a folder and those above it where they are missing, without entering them."""
    segments = folder.split("/")
    for depth in range(len(segments)):
        path = "/".join(segments[: depth + 1])
        if path:
            with contextlib.suppress(ftplib.Error):  # it is there, or the upload tells why it cannot be
                ftp.mkd(path)

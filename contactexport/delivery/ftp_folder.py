"""The folder of an FTP target: entered segment by segment, and made where it does not exist (contract, Request)."""

import contextlib
import ftplib

from contactexport.delivery.ftp_connection import FtpConnection, in_latin_1


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
    ftp.encoding = "latin-1" if in_latin_1(segment) and not ftp.announces_utf8() else "utf-8"
    try:
        ftp.mkd(segment)
    except ftplib.error_perm as refusal:
        # Another upload may have made it in between; if not, the reason is why it could not be made.
        if not _entered(ftp, segment, ftp.encoding):
            raise refusal from None
    else:
        ftp.cwd(segment)

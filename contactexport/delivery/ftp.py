"""Distribution method `ftp`: upload under a temporary name, compare the size, rename (RFC 959, RFC 3659 for SIZE)."""

import contextlib
import ftplib
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from contactexport.errors import DeliveryFailed, ExportLost
from contactexport.models import Export, FtpTarget

BLOCK_BYTES = 1 << 18
# Replies of the 5xx family that mean what they say: not logged in, no permission, name not allowed.
PERMANENT_REPLIES = ("530", "532", "550", "551", "553")


class FtpDelivery:
    """Delivers to one target by the numeric address its host was resolved to; `timeout` in seconds."""

    consumes_file = True

    def __init__(self, target: FtpTarget, address: str, password: str, timeout: float) -> None:
        self._target = target
        self._address = address
        self._password = password
        self._timeout = timeout
        self._aborted = threading.Event()

    def deliver(self, export: Export, file: Path) -> None:
        """Uploads the file; afterwards the folder holds it complete, under its name. Raises DeliveryFailed."""
        if not file.is_file() or file.stat().st_size != export.bytes:
            raise DeliveryFailed("The finished file is not in the storage folder any more", permanent=True)
        temporary = f"{export.file_name}.{export.attempt}.part"
        with _translated_errors(self._password), self._connected() as ftp:
            _enter_folder(ftp, self._target.folder)
            _remove_leftovers(ftp, export)
            with file.open("rb") as content:
                ftp.storbinary(f"STOR {temporary}", content, BLOCK_BYTES, self._look)
            _require_size(ftp, temporary, file.stat().st_size)
            _rename(ftp, temporary, export.file_name)

    def abort(self) -> None:
        """Ends a running upload at its next block."""
        self._aborted.set()

    def _look(self, _block: bytes) -> None:
        if self._aborted.is_set():
            raise ExportLost("the upload was stopped")

    @contextmanager
    def _connected(self) -> Iterator[ftplib.FTP]:
        ftp = ftplib.FTP(timeout=self._timeout, encoding="latin-1")  # reads any byte a server answers
        try:
            ftp.connect(self._address, self._target.port)
            ftp.login(_in_utf8(self._target.username), _in_utf8(self._password))
            ftp.set_pasv(True)
            ftp.voidcmd("TYPE I")
            yield ftp
            with contextlib.suppress(OSError, EOFError, ftplib.Error):
                ftp.quit()
        finally:
            ftp.close()


def _enter_folder(ftp: ftplib.FTP, folder: str | None) -> None:
    if folder is None:
        return
    if folder.startswith("/"):
        ftp.cwd("/")
    for segment in filter(None, _in_utf8(folder).split("/")):
        try:
            ftp.cwd(segment)
        except ftplib.error_perm:
            with contextlib.suppress(ftplib.error_perm):  # another upload may have made it in between
                ftp.mkd(segment)
            ftp.cwd(segment)


def _remove_leftovers(ftp: ftplib.FTP, export: Export) -> None:
    for attempt in range(1, export.attempt):
        with contextlib.suppress(ftplib.error_perm):  # most attempts have left nothing
            ftp.delete(f"{export.file_name}.{attempt}.part")


def _require_size(ftp: ftplib.FTP, name: str, expected: int) -> None:
    found = ftp.size(name)
    if found != expected:
        raise DeliveryFailed(f"The FTP host has {found} bytes of {expected}", permanent=False)


def _rename(ftp: ftplib.FTP, temporary: str, final: str) -> None:
    try:
        ftp.rename(temporary, final)
    except ftplib.error_perm as refusal:
        # Some servers do not rename onto a file that exists, left by an attempt that died right after its rename.
        try:
            ftp.delete(final)
        except ftplib.error_perm:
            raise refusal from None
        ftp.rename(temporary, final)


@contextmanager
def _translated_errors(password: str) -> Iterator[None]:
    try:
        yield
    except (ftplib.Error, EOFError, OSError) as error:
        text = getattr(error, "strerror", None) or _one_line(error) or "connection closed"
        if password:
            text = text.replace(password, "***")  # a server may repeat what it was sent
        permanent = isinstance(error, ftplib.error_perm) and text[:3] in PERMANENT_REPLIES
        raise DeliveryFailed(f"FTP host: {text[:200]}", permanent=permanent) from None
    except ValueError:
        raise DeliveryFailed("FTP host: its answer cannot be understood", permanent=False) from None


def _in_utf8(text: str) -> str:
    """Sent as Latin-1 these characters are the bytes of the text in UTF-8 (RFC 2640)."""
    return text.encode().decode("latin-1")


def _one_line(error: Exception) -> str:
    return " ".join(str(error).encode("latin-1", "replace").decode("utf-8", "replace").split())

"""The form in which a host gets a file: compressed (RFC 1952), encrypted (RFC 9580), or both.

It is made in a temporary file without a name. So nothing is left of it, whenever the process dies. A host that is tried
twice within one attempt gets the same bytes, and their size is known before the first is sent.
"""

import gzip
import hashlib
import os
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext, suppress
from pathlib import Path
from subprocess import PIPE
from typing import IO, Any, BinaryIO

from contactexport.delivery import openpgp
from contactexport.delivery.ftp_wire import one_line
from contactexport.errors import DeliveryFailed
from contactexport.exports.models import DeliveredFile, Export, ExportSettings

BLOCK_BYTES = 1 << 18
# The level of zlib. Higher ones take much longer, and make little difference for CSV.
COMPRESSION_LEVEL = 6


@contextmanager
def encoded(
    export: Export, file: BinaryIO, folder: Path, require_wanted: Callable[[], None]
) -> Iterator[tuple[BinaryIO, DeliveredFile | None]]:
    """Yields what a host is to get, and its name, size and hash. None: the file as it is.

    `folder` is for the temporary file. `require_wanted` is called for each block and raises if the work is in vain.
    The compressed form of a file is always the same, the encrypted one never. Raises DeliveryFailed.
    """
    settings = export.settings
    name = settings.delivered_name(export.file_name)
    if name == export.file_name:
        yield file, None
        return
    try:
        folder.mkdir(parents=True, exist_ok=True)
        made = tempfile.TemporaryFile(dir=folder)  # noqa: SIM115 - closed below
    except OSError as error:
        raise _not_made(error) from None
    with made:
        try:
            if settings.openpgp_key is None:
                _pack(file, made, require_wanted, compressed=True)
            else:
                _encrypt(file, made, settings.openpgp_key, require_wanted, compressed=settings.compression is not None)
            made.flush()
            made.seek(0)
            digest = hashlib.file_digest(made, "sha256").hexdigest()
        except OSError as error:
            raise _not_made(error) from None
        size = made.seek(0, os.SEEK_END)
        made.seek(0)
        yield made, DeliveredFile(name, size, digest)


def shown_form(settings: ExportSettings) -> dict[str, Any]:
    """How a file is compressed and encrypted, each only if it is. A key is shown by its fingerprint only."""
    compression = {} if settings.compression is None else {"compression": settings.compression}
    if settings.openpgp_key is None:
        return compression
    return compression | {"encryption": {"openpgp_fingerprint": openpgp.fingerprint(settings.openpgp_key)}}


def _pack(file: BinaryIO, to: IO[bytes], require_wanted: Callable[[], None], *, compressed: bool) -> None:
    # The time and the name of the file would make its bytes differ.
    with gzip.GzipFile("", "wb", COMPRESSION_LEVEL, to, mtime=0) if compressed else nullcontext(to) as packed:
        while block := file.read(BLOCK_BYTES):
            require_wanted()
            packed.write(block)


def _encrypt(
    file: BinaryIO, made: BinaryIO, certificate: str, require_wanted: Callable[[], None], *, compressed: bool
) -> None:
    with os.fdopen(os.memfd_create("certificate"), "wb") as key:
        key.write(certificate.encode())
        key.flush()
        descriptors = (key.fileno(), made.fileno())
        command = openpgp.encrypting(*(Path(f"/dev/fd/{one}") for one in descriptors))
        with subprocess.Popen(command, stdin=PIPE, stderr=PIPE, pass_fds=descriptors) as process:
            try:
                with suppress(BrokenPipeError), process.stdin as content:  # type: ignore[union-attr] # it is a pipe
                    _pack(file, content, require_wanted, compressed=compressed)
                told = process.stderr.read().decode("utf-8", "replace")  # type: ignore[union-attr] # it is a pipe
            except BaseException:
                process.kill()
                raise
    if process.returncode != 0:
        require_wanted()  # whoever stops the worker may have killed both processes
        reason = told.strip().splitlines()[-1:] or [f"its process ended with {process.returncode}"]
        # A full disk, a lack of memory and a kill pass. A certificate stays as it is.
        permanent = process.returncode == openpgp.KEY_REFUSES
        raise DeliveryFailed(f"The file cannot be encrypted: {one_line(reason[0], '')}", permanent=permanent)


def _not_made(error: OSError) -> DeliveryFailed:
    return DeliveryFailed(f"The file cannot be compressed or encrypted: {error.strerror or error}", permanent=False)

"""Writes the bad lines of an import to a file: complete under its own name, or not there at all."""

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from contactexport.errors import UsageError


def write_rejects(path: Path, header: bytes, records: Iterable[bytes]) -> None:
    """Writes header and records as they stood in the imported file, replacing an earlier file.

    Raises UsageError when the file cannot be written.
    """
    part = path.with_name(f"{path.name}.{os.getpid()}.part")
    with _clear_errors(path):
        try:
            with open(part, "xb") as file:
                file.write(_ended(header))
                file.writelines(_ended(record) for record in records)
                file.flush()
                os.fsync(file.fileno())
            part.replace(path)
        finally:
            part.unlink(missing_ok=True)


def require_writable(path: Path) -> None:
    """Raises UsageError when no file can be made there: better said before the import than after it."""
    with _clear_errors(path):
        if path.is_dir() or not os.access(path.parent, os.W_OK):
            raise UsageError(f"{path} cannot be written: a file in a folder that exists and is writable expected")


@contextmanager
def _clear_errors(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise UsageError(f"{path} cannot be written: {error.strerror}") from error


def _ended(record: bytes) -> bytes:
    return record if record.endswith(b"\n") else record + b"\n"

"""Writes the bad lines of an import to a file. The file is complete, or it is not there."""

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from contactexport.errors import UsageError


def write_rejects(path: Path, header: bytes, records: Iterable[bytes]) -> None:
    """Writes header and records with their original bytes. Replaces an earlier file.

    Raises UsageError if the file cannot be written.
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
    """Raises UsageError if no file can be created there. An import asks before it starts, so that no work is lost."""
    with _clear_errors(path):
        if path.is_dir() or not os.access(path.parent, os.W_OK):
            raise UsageError(f"{path} cannot be written: name a file in an existing, writable folder")


@contextmanager
def _clear_errors(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise UsageError(f"{path} cannot be written: {error.strerror}") from error


def _ended(record: bytes) -> bytes:
    return record if record.endswith(b"\n") else record + b"\n"

"""Where finished files are stored: one small interface, for a folder and for object stores.

The rest of the program knows a stored file by its name and its size, and never where it lies.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import BinaryIO, Protocol

from contactexport.files.export_file import WrittenFile
from contactexport.files.writer import RowsFile

MARKER = ".contactexport-installation"


@dataclass(frozen=True)
class StoredFile:
    """A file in the storage. `unfinished`: an upload that nobody has completed, whose bytes are not known."""

    name: str
    bytes: int
    unfinished: bool = False


@dataclass(frozen=True)
class Space:
    """How much is free, in bytes, and where."""

    free: int
    total: int
    place: str


class Storage(Protocol):
    """Keeps finished files. Every method may raise OSError, and StorageUnfit if the storage does not answer."""

    # How the storage is called in texts, in full and in short, and where it is: a path, or a URL without secrets.
    kind: str
    noun: str
    place: str
    # What to do, and what to ask oneself, if the marker is missing.
    advice: str
    doubt: str
    # True if the parts of one file can be written in parallel and joined.
    joins_segments: bool

    def write(
        self,
        file_name: str,
        attempt: int,
        *,
        write_content: Callable[[RowsFile], int],
        before_publish: Callable[[], None],
        on_rows: Callable[[int], None] | None = None,
    ) -> WrittenFile:
        """Writes the content. The file appears whole, after `before_publish`, or not at all. Memory stays flat.

        `write_content` streams everything and returns the number of rows. `before_publish` raises if this attempt has
        lost its export. `on_rows` is called with the rows written so far, with the header line. The file of a stale
        attempt never replaces that of a newer one. Raises ExportLost if another attempt was faster.
        """

    def put_beside(self, file_name: str, attempt: int, content: bytes, before_publish: Callable[[], None]) -> None:
        """Writes a small file beside another one, and replaces what an attempt that died has left."""

    def open_finished(self, name: str, size: int | None) -> BinaryIO:
        """The finished file, opened for reading at any offset. `size` is its number of bytes in the export's row.

        Every reader of a stored file opens it here, so that a damaged or replaced file is never served as the export.
        Raises FileDamaged.
        """

    def delete(self, name: str) -> bool:
        """Deletes a stored file. True when it is gone. A file that cannot be deleted must not stop the others.

        Raises StorageUnfit when the storage does not answer: then no other can be deleted either.
        """

    def is_time_to_look(self, sweep_interval: float) -> bool:
        """Tells whether a sweep should list the files now, to find what dead attempts have left."""

    def discard(self, file: StoredFile) -> bool:
        """Deletes what a dead attempt has left. False if it was gone already, or cannot be deleted."""

    def list(self) -> Iterable[StoredFile]:
        """All files, those included that are not ours."""

    def signed_url(self, name: str, seconds: int) -> str | None:
        """A URL from which anybody can download the file for so many seconds. None if the storage has no such thing."""

    def read_marker(self) -> str | None:
        """The id of the installation that the storage belongs to, or None without a marker. Raises StorageUnfit."""

    def write_marker(self, installation: str) -> None:
        """Creates the storage if it can, and writes the marker, atomically. Raises StorageUnfit."""

    def exists(self) -> bool:
        """Tells whether the storage is there, with or without a marker."""

    def space(self) -> Space | None:
        """How much is free. None if nobody knows."""

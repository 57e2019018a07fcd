"""One object of an object store, as a file: written in parts as it grows, or read from any offset."""

import hashlib
import io
from collections.abc import Callable
from typing import Any

import obstore
from obstore.store import ObjectStore

from contactexport import crash_points
from contactexport.files.object_errors import translated
from contactexport.files.writer import BUFFER_BYTES, RowIndex, RowsFile

# Larger parts, or more of them in flight, upload hardly faster and take memory.
PART_BYTES = 8 << 20
PARTS_IN_FLIGHT = 2
# Of one request. A client that reads slowly keeps no connection to the store open.
READ_BYTES = 1 << 20


class ObjectFile(RowsFile):
    """Sends what is written to an upload, in parts, counted, indexed and hashed on the way. Keeps no copy.

    `on_rows` is called with the rows written so far. Raises StorageUnfit, OSError.
    """

    def __init__(self, upload: Any, place: str, attempt: int, on_rows: Callable[[int], None] | None) -> None:
        self.flushed = _HashingUpload(upload, place, attempt, on_rows)
        super().__init__(self.flushed, BUFFER_BYTES)


class _HashingUpload(io.RawIOBase):
    def __init__(self, upload: Any, place: str, attempt: int, on_rows: Callable[[int], None] | None) -> None:
        self.bytes = 0
        self.row_index = RowIndex()
        self.digest = hashlib.sha256()
        self._upload = upload
        self._place = place
        self._attempt = attempt
        self._on_rows = on_rows

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        content = bytes(data)  # the upload holds it until its part is sent
        self.digest.update(content)
        self.row_index.add(content, self.bytes)
        self.bytes += len(content)
        with translated(self._place):
            self._upload.write(content)
        crash_points.reach("rows half written", self._attempt)
        if self._on_rows is not None:
            self._on_rows(self.row_index.row_ends)
        return len(content)


class ObjectReader(io.RawIOBase):
    """Reads an object of a known size, by requests of a megabyte if it is buffered. Raises StorageUnfit, OSError."""

    def __init__(self, store: ObjectStore, place: str, name: str, size: int) -> None:
        self._store = store
        self._place = place
        self._object = name
        self._size = size
        self._offset = 0

    def readable(self) -> bool:
        """True."""
        return True

    def seekable(self) -> bool:
        """True."""
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Moves to an offset, without a request."""
        self._offset = offset + {io.SEEK_SET: 0, io.SEEK_CUR: self._offset, io.SEEK_END: self._size}[whence]
        return self._offset

    def tell(self) -> int:
        """Where the next read begins."""
        return self._offset

    def readall(self) -> bytes:
        """The rest, in requests of the usual size."""
        return b"".join(iter(lambda: self.read(READ_BYTES), b""))

    def readinto(self, buffer: Any) -> int:
        """Fills the buffer, unless the object ends before."""
        wanted = min(len(buffer), self._size - self._offset)
        if wanted <= 0:
            return 0
        with translated(self._place):
            content = obstore.get_range(self._store, self._object, start=self._offset, length=wanted)
        if len(content) != wanted:
            raise OSError(f"the object store sent {len(content)} bytes of {wanted}")
        memoryview(buffer)[:wanted] = memoryview(content)
        self._offset += wanted
        return wanted

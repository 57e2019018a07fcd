"""Distribution method `local`: the file stays in the storage, where it already is."""

from collections.abc import Callable
from typing import BinaryIO

from contactexport.exports.models import Export
from contactexport.files.storage import Storage


class LocalDelivery:
    """Writes the manifest only. The caller opened the file, and so checked that it exists and is whole.

    `before_publish` is called right before the manifest gets its name. If it raises, the manifest does not appear.
    """

    consumes_file = False

    def __init__(self, storage: Storage, before_publish: Callable[[], None]) -> None:
        self._storage = storage
        self._before_publish = before_publish

    def deliver(self, export: Export, file: BinaryIO) -> None:
        """The file is already in its place."""

    def deliver_manifest(self, export: Export) -> None:
        """Writes it beside the file, and replaces what an attempt that died has left. Raises OSError."""
        content = (export.manifest or "").encode()
        self._storage.put_beside(export.stored_manifest_name, export.attempt, content, self._before_publish)

    def abort(self) -> None:
        """Nothing to abort."""

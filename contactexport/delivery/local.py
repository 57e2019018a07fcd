"""Distribution method `local`: the file stays in the storage folder, where it already is."""

from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

from contactexport.exports.models import Export
from contactexport.files import export_file
from contactexport.files.writer import PartFile


class LocalDelivery:
    """Writes the manifest only. The caller opened the file, and so checked that it exists and is whole.

    `before_publish` is called right before the manifest gets its name. If it raises, the manifest does not appear.
    """

    consumes_file = False

    def __init__(self, folder: Path, before_publish: Callable[[], None]) -> None:
        self._folder = folder
        self._before_publish = before_publish

    def deliver(self, export: Export, file: BinaryIO) -> None:
        """The file is already in its place."""

    def deliver_manifest(self, export: Export) -> None:
        """Writes it under a temporary name, and replaces what an attempt that died has left. Raises OSError."""

        def write(to: PartFile) -> int:
            to.write((export.manifest or "").encode())
            return 0

        export_file.write(
            self._folder,
            export.manifest_name,
            export.attempt,
            write_content=write,
            before_publish=self._before_publish,
        )

    def abort(self) -> None:
        """Nothing to abort."""

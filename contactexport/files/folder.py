"""Finished files in a folder, which all machines share if there are several."""

import os
import shutil
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

from contactexport.errors import StorageUnfit
from contactexport.files import export_file
from contactexport.files.export_file import WrittenFile
from contactexport.files.storage import MARKER, Space, StoredFile
from contactexport.files.writer import RowsFile


class FolderStorage:
    """A folder. A file is written under a temporary name, and linked to its own name once it is complete."""

    kind = "storage folder"
    noun = "folder"
    doubt = "is it mounted?"
    advice = "mount the one that all machines share"
    joins_segments = True

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.place = str(folder)

    def write(
        self,
        file_name: str,
        attempt: int,
        *,
        write_content: Callable[[RowsFile], int],
        before_publish: Callable[[], None],
        on_rows: Callable[[int], None] | None = None,
    ) -> WrittenFile:
        """Writes a temporary file and gives it its name. Raises ExportLost, OSError."""
        return export_file.write(
            self.folder,
            file_name,
            attempt,
            write_content=write_content,
            before_publish=before_publish,
            on_rows=on_rows,
        )

    def put_beside(self, file_name: str, attempt: int, content: bytes, before_publish: Callable[[], None]) -> None:
        """Writes it under a temporary name first. Raises OSError, and what `before_publish` raises."""

        def write(to: RowsFile) -> int:
            to.write(content)
            return 0

        self.write(file_name, attempt, write_content=write, before_publish=before_publish)

    def open_finished(self, name: str, size: int | None) -> BinaryIO:
        """The file, if it is a plain one of this size. Raises FileDamaged."""
        return export_file.open_finished(self.folder, name, size)

    def delete(self, name: str) -> bool:
        """Deletes a file. False if that is impossible, which is logged."""
        return export_file.delete(self.folder / name)

    def is_time_to_look(self, sweep_interval: float) -> bool:  # noqa: ARG002 - listing a folder costs nothing
        """Always."""
        return True

    def discard(self, file: StoredFile) -> bool:
        """Deletes what is left of a dead attempt. `lexists`: a dangling link counts."""
        return os.path.lexists(self.folder / file.name) and self.delete(file.name)

    def list(self) -> Iterable[StoredFile]:
        """What is in the folder, by name. What is deleted meanwhile is left out."""
        for path in sorted(self.folder.iterdir()) if self.folder.is_dir() else []:
            with suppress(FileNotFoundError):
                yield StoredFile(path.name, path.lstat().st_size)

    def signed_url(self, name: str, seconds: int) -> None:
        """None: nobody but this program serves a folder."""

    def read_marker(self) -> str | None:
        """The first line of the marker. Raises StorageUnfit if the folder cannot be read."""
        try:
            return (self.folder / MARKER).read_text(encoding="ascii", errors="replace").strip()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise StorageUnfit(
                f"The storage folder {self.folder} cannot be read: {error.strerror}", "not readable"
            ) from None

    def write_marker(self, installation: str) -> None:
        """Creates the folder if it is missing. Raises StorageUnfit."""
        try:
            self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            own = self.folder / f"{MARKER}.{os.getpid()}"
            with open(os.open(own, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
                file.write(f"{installation}\n".encode())
                file.flush()
                os.fsync(file.fileno())
            own.rename(self.folder / MARKER)
        except OSError as error:
            raise StorageUnfit(
                f"The storage folder {self.folder} cannot be written: {error.strerror}", "not writable"
            ) from None

    def exists(self) -> bool:
        """True if there is a folder."""
        return self.folder.is_dir()

    def space(self) -> Space:
        """What is free in the folder, or above it while it does not exist."""
        folder = self.folder
        while not folder.exists() and folder != folder.parent:
            folder = folder.parent
        total, _used, free = shutil.disk_usage(folder)
        return Space(free, total, str(folder))

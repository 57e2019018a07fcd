"""The folder of finished files, and the marker in it that tells to which installation it belongs.

A folder that is not mounted, or that another machine does not share, lacks the marker.
"""

import os
from pathlib import Path

from contactexport.errors import StorageUnfit

MARKER = ".contactexport-installation"


def marked_for(folder: Path) -> str | None:
    """The id of the installation that the folder belongs to, None without a marker. Raises StorageUnfit."""
    try:
        return (folder / MARKER).read_text(encoding="ascii", errors="replace").strip()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise StorageUnfit(f"The storage folder {folder} cannot be read: {error.strerror}", "not readable") from None


def mark(folder: Path, installation: str) -> None:
    """Makes the folder if it is missing and writes the marker, whole or not at all. Raises StorageUnfit."""
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        own = folder / f"{MARKER}.{os.getpid()}"
        with open(os.open(own, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
            file.write(f"{installation}\n".encode())
            file.flush()
            os.fsync(file.fileno())
        own.rename(folder / MARKER)
    except OSError as error:
        raise StorageUnfit(f"The storage folder {folder} cannot be written: {error.strerror}", "not writable") from None

"""`--output`: copies the finished file of `flask export changes`."""

import os
import shutil
import sys
from pathlib import Path
from typing import BinaryIO

from contactexport.errors import ContactExportError, UsageError

STANDARD_OUTPUT = "-"


def require_writable(output: str) -> None:
    """Raises UsageError before the export begins if the output cannot be written."""
    path = Path(output)
    if output == STANDARD_OUTPUT:
        return
    if path.is_dir() or not path.absolute().parent.is_dir():
        raise UsageError(f"Invalid value for --output: {path}: a file in an existing folder expected")
    if not os.access(path if path.exists() else path.absolute().parent, os.W_OK):
        raise UsageError(f"Invalid value for --output: {path}: not writable")


def copy(content: BinaryIO, output: str, stored: str) -> None:
    """Copies the opened file. A file appears whole or not at all. Devices, pipes and `-` are written directly.

    Raises ContactExportError, which names the stored file: that one is still there.
    """
    try:
        if output == STANDARD_OUTPUT:
            shutil.copyfileobj(content, sys.stdout.buffer)
            sys.stdout.buffer.flush()
        elif Path(output).exists() and not Path(output).is_file():
            _write(content, Path(output))
        else:
            target = Path(output).resolve()
            aside = target.with_name(f"{target.name}.part")
            try:
                _write(content, aside)
                aside.replace(target)
            finally:
                aside.unlink(missing_ok=True)
    except BrokenPipeError:
        raise  # the reader has closed the pipe: click ends without a message
    except OSError as error:
        raise ContactExportError(f"{output} cannot be written: {error.strerror}; the file is in {stored}") from None


def _write(content: BinaryIO, target: Path) -> None:
    with target.open("wb") as to:
        shutil.copyfileobj(content, to)

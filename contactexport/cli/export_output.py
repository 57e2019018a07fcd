"""`--output`: where `flask export changes` copies the finished file to."""

import os
import shutil
import sys
from pathlib import Path

from contactexport.errors import ContactExportError, UsageError

STANDARD_OUTPUT = "-"


def require_writable(output: str) -> None:
    """Raises UsageError, before the export begins, when nothing can be written there."""
    path = Path(output)
    if output == STANDARD_OUTPUT:
        return
    if path.is_dir() or not path.absolute().parent.is_dir():
        raise UsageError(f"Invalid value for --output: {path}: a file in an existing folder expected")
    if not os.access(path if path.exists() else path.absolute().parent, os.W_OK):
        raise UsageError(f"Invalid value for --output: {path}: not writable")


def copy(file: Path, output: str) -> None:
    """Copies the file, whole or not at all; devices, pipes and `-` are written as it goes.

    Raises ContactExportError naming the file that is still there.
    """
    try:
        if output == STANDARD_OUTPUT:
            _write_to_standard_output(file)
        elif Path(output).exists() and not Path(output).is_file():
            shutil.copyfile(file, output, follow_symlinks=True)
        else:
            _replace(file, Path(output).resolve())
    except BrokenPipeError:
        raise  # whoever reads has seen enough: click ends quietly
    except OSError as error:
        raise ContactExportError(f"{output} cannot be written: {error.strerror}; the file is in {file}") from None


def _write_to_standard_output(file: Path) -> None:
    with file.open("rb") as content:
        shutil.copyfileobj(content, sys.stdout.buffer)
    sys.stdout.buffer.flush()


def _replace(file: Path, target: Path) -> None:
    aside = target.with_name(f"{target.name}.part")
    try:
        shutil.copyfile(file, aside)
        aside.replace(target)
    finally:
        aside.unlink(missing_ok=True)

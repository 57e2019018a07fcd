"""Disks that are really full: a limit on the size of a process's files, and a small file system."""

import contextlib
import errno
import resource
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest
from pyftpdlib.handlers import DTPHandler


@contextmanager
def no_larger_files(pid: int, size: int = 100_000) -> Iterator[None]:
    """Inside the block the process cannot write more than so many bytes into a file (EFBIG)."""
    process = psutil.Process(pid)
    soft, hard = process.rlimit(resource.RLIMIT_FSIZE)
    process.rlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        process.rlimit(resource.RLIMIT_FSIZE, (soft, hard))


@contextmanager
def small_disk(folder: Path, size: str) -> Iterator[None]:
    """Mounts a file system of so many bytes at the folder. Skips the test if that is not permitted."""
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", f"size={size},mode=0700", "contactexport-test", str(folder)]
    if subprocess.run(command, capture_output=True, check=False).returncode != 0:
        pytest.skip("file systems may not be mounted here")
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


@contextmanager
def filled(folder: Path, free: int = 0) -> Iterator[None]:
    """Inside the block the disk of the folder is full, or has only so many free bytes."""
    filler = folder / "filler"
    with filler.open("wb", buffering=0) as file:
        with contextlib.suppress(OSError):
            while file.write(b"x" * 4096):
                pass
        file.truncate(max(0, file.tell() - free))
    try:
        yield
    finally:
        filler.unlink()


REPLIES = {errno.ENOSPC: "452 No space left on device.", errno.EFBIG: "552 Exceeded storage allocation."}


class TellsThatTheDiskIsFull(DTPHandler):
    """Answers like real hosts that cannot write a file."""

    def handle_error(self) -> None:
        reason = getattr(sys.exc_info()[1], "__cause__", None)
        if not isinstance(reason, OSError) or reason.errno not in REPLIES:
            super().handle_error()
            return
        with contextlib.suppress(OSError):  # its buffered bytes do not fit either
            self.file_obj.close()
        self._resp = (REPLIES[reason.errno], self.log)
        self.close()

"""Verifies a folder of files with their manifests: what `contactexport verify` does. It needs no database.

A file counts only through its manifest. Whoever can change the folder, but has no key, can take files away at the end:
then the rest looks like an older folder. So a receiver asks the service how far the feed is, and tells it here.
"""

import errno
import hashlib
import os
import stat
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from io import FileIO
from pathlib import Path

from contactexport.errors import UsageError
from contactexport.exports.models import MANIFEST_SUFFIX
from contactexport.manifests.chain import Chain, Fault, chain_faults, chains_of, printable
from contactexport.manifests.manifest import BadManifest, Manifest, read
from contactexport.manifests.signing import PublicKeys

MOST_MANIFEST_BYTES = 1 << 24
TEMPORARY = ".part"  # an upload that has not ended
# A link may lead anywhere, and opening a FIFO would wait for a writer.
OPEN = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


@dataclass(frozen=True)
class Expected:
    """What a receiver knows and wants.

    `feed`: only this one, by name or id, and nothing is said about files without a manifest. Files before the sequence
    `first` may be missing. `sequence` must have been reached. The manifest with the SHA-256 `last` must be there.
    """

    feed: str | None = None
    first: int = 1
    sequence: int | None = None
    last: str | None = None


@dataclass(frozen=True)
class Report:
    """What was found. `files` and `bytes` are those that were read and are right."""

    faults: Sequence[Fault]
    chains: Sequence[Chain]
    files: int
    bytes: int


def verify(folder: Path, keys: PublicKeys, expected: Expected, key_file: Path | None = None) -> Report:
    """Compares every file of the folder with its manifest, and every manifest with the one before it.

    The `key_file` may be in the folder, too. Raises UsageError.
    """
    try:
        names = sorted(entry.name for entry in os.scandir(folder) if not entry.is_dir(follow_symlinks=False))
    except OSError as error:
        raise UsageError(f"The folder {folder} cannot be read: {error.strerror}") from None
    if key_file is not None and key_file.resolve().parent == folder.resolve():
        names = [name for name in names if name != key_file.name]
    faults: list[Fault] = []
    manifests = list(read_manifests(folder, names, keys, faults))
    if expected.feed is not None:
        manifests = [one for one in manifests if expected.feed in (one.feed, str(one.feed_id))]
    if not (manifests or faults):
        faults.append(
            Fault(str(folder), "has no manifest" + (f" of the feed {expected.feed}" if expected.feed else ""))
        )
    chains = chains_of(manifests)
    for chain in chains:
        faults += chain_faults(chain, keys, expected.first)
    faults += end_faults(folder, chains, expected)
    with ThreadPoolExecutor(len(os.sched_getaffinity(0))) as threads:  # hashing does not hold Python's lock
        damaged = [fault for fault in threads.map(partial(file_fault, folder), manifests) if fault]
    if expected.feed is None:
        faults += without_manifest(names, chains)
    names_of_damaged = {fault.file for fault in damaged}
    whole = [one for one in manifests if one.file not in names_of_damaged]
    return Report([*faults, *damaged], chains, len(whole), sum(one.bytes for one in whole))


def without_manifest(names: Sequence[str], chains: Sequence[Chain]) -> list[Fault]:
    """Files of which no manifest speaks. A reader who takes them for files of the service would be deceived."""
    accounted = {name.removesuffix(MANIFEST_SUFFIX) for name in names if is_manifest(name)}
    accounted.update(*(chain.superseded for chain in chains))
    return [
        Fault(name, "has no manifest: it is not complete, or does not come from the service")
        for name in names
        if not (is_manifest(name) or name in accounted or name.startswith(".") or name.endswith(TEMPORARY))
    ]


def is_manifest(name: str) -> bool:
    """True for every name that a reader might take for a manifest."""
    return name.lower().endswith(MANIFEST_SUFFIX)


def read_manifests(folder: Path, names: Iterable[str], keys: PublicKeys, faults: list[Fault]) -> Iterator[Manifest]:
    """The manifests among these files. What is wrong with others is added to `faults`."""
    for name in filter(is_manifest, names):
        try:
            with opened(folder / name) as file:
                manifest = read(file.read(MOST_MANIFEST_BYTES), keys)
        except OSError as error:
            faults.append(Fault(name, f"cannot be read: {error.strerror}"))
        except BadManifest as bad:
            faults.append(Fault(name, str(bad)))
        else:
            if name == manifest.file + MANIFEST_SUFFIX:
                yield manifest
            else:
                faults.append(Fault(name, f"was signed as {printable(manifest.file + MANIFEST_SUFFIX)}"))


def file_fault(folder: Path, manifest: Manifest) -> Fault | None:
    """What is wrong with the file of a manifest, if anything."""
    try:
        with opened(folder / manifest.file) as file:
            size = os.fstat(file.fileno()).st_size
            if size != manifest.bytes:
                return Fault(manifest.file, f"has {size} bytes, and {manifest.bytes} by its manifest")
            if hashlib.file_digest(file, "sha256").hexdigest() != manifest.sha256:
                return Fault(manifest.file, "has another content than its manifest says (SHA-256)")
    except FileNotFoundError:
        return Fault(manifest.file, "is missing, and its manifest is there")
    except OSError as error:
        return Fault(manifest.file, f"cannot be read: {error.strerror}")
    return None


def opened(path: Path) -> FileIO:
    """The regular file, opened for reading. Raises OSError for anything else."""
    try:
        descriptor = os.open(path, OPEN)
    except OSError as error:
        if error.errno == errno.ELOOP:
            raise OSError(errno.ELOOP, "it is a link") from None
        raise
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise OSError(errno.EINVAL, "it is no regular file")
    return FileIO(descriptor)


def end_faults(folder: Path, chains: Sequence[Chain], expected: Expected) -> Iterator[Fault]:
    """What is missing at the end of a feed's manifests. Raises UsageError unless there is one feed to ask about."""
    if expected.sequence is None and expected.last is None:
        return
    if len(chains) > 1:
        feeds = ", ".join(f"{printable(chain.feed)} ({chain.feed_id})" for chain in chains)
        raise UsageError(
            f"--sequence and --last are about one feed, and the folder has {feeds}: name it, or its number, by --feed"
        )
    if not chains:
        yield Fault(str(folder), "has no manifest of a feed")
    for chain in chains:
        end = chain.manifests[-1]
        if expected.sequence is not None and end.sequence < expected.sequence:
            yield Fault(end.file, f"is the last with sequence {end.sequence}, and {expected.sequence} is expected")
        if expected.last is not None and expected.last.lower() not in {one.digest for one in chain.manifests}:
            yield Fault(end.file, f"is the last, and no manifest has the SHA-256 {printable(expected.last)}")

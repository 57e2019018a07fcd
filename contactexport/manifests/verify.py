"""Verifies a folder of files with their manifests: what `contactexport verify` does. It needs no database.

A file counts only through its manifest. Whoever can change the folder, but has no key, can take files away at the end:
then the rest looks like an older folder. So a receiver asks the service how far the feed is, and tells it here.
"""

import errno
import gzip
import hashlib
import os
import stat
import zlib
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from io import FileIO
from pathlib import Path
from typing import Protocol

from contactexport.errors import UsageError
from contactexport.exports.models import GZIP_SUFFIX, MANIFEST_SUFFIX, OPENPGP_SUFFIX, DeliveredFile
from contactexport.manifests.chain import Chain, Fault, chain_faults, chains_of, printable
from contactexport.manifests.manifest import BadManifest, Manifest, read
from contactexport.manifests.signing import PublicKeys

MOST_MANIFEST_BYTES = 1 << 24
TEMPORARY = ".part"  # an upload that has not ended
BLOCK_BYTES = 1 << 20
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
    """What was found. `files` and `bytes` are those that were read and are right.

    `encrypted` of them are what was delivered, but nobody without the receiver's key can tell what is in them.
    """

    faults: Sequence[Fault]
    chains: Sequence[Chain]
    files: int
    bytes: int
    encrypted: int


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
    whole = [one for one in manifests if names_of_damaged.isdisjoint(forms(one))]
    unread = [one for one in whole if not set(names).intersection(forms(one)[1:])]
    encrypted = sum(one.file_beside.file_name.endswith(OPENPGP_SUFFIX) for one in unread)
    return Report([*faults, *damaged], chains, len(whole), sum(one.file_beside.bytes for one in whole), encrypted)


def forms(manifest: Manifest) -> list[str]:
    """The names that the file may have: as delivered, then decrypted, then decompressed."""
    names = [manifest.file_beside.file_name]
    for suffix in (OPENPGP_SUFFIX, GZIP_SUFFIX):
        if names[-1] != manifest.file and names[-1].endswith(suffix):
            names.append(names[-1].removesuffix(suffix))
    return names


def without_manifest(names: Sequence[str], chains: Sequence[Chain]) -> list[Fault]:
    """Files of which no manifest speaks. A reader who takes them for files of the service would be deceived."""
    accounted = {name.removesuffix(MANIFEST_SUFFIX) for name in names if is_manifest(name)}
    accounted.update(*(forms(one) for chain in chains for one in chain.manifests))
    superseded = {name for chain in chains for name in chain.superseded}
    accounted.update(*(forms_of_any(name) for name in superseded))
    return [
        Fault(name, "has no manifest: it is not complete, or does not come from the service")
        for name in names
        if not (is_manifest(name) or name in accounted or name.startswith(".") or name.endswith(TEMPORARY))
    ]


def forms_of_any(file: str) -> Iterator[str]:
    """All names that a file may have at its receiver."""
    for compressed in ("", GZIP_SUFFIX):
        for encrypted in ("", OPENPGP_SUFFIX):
            yield file + compressed + encrypted


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
            if name == (proper := manifest.file_beside.file_name + MANIFEST_SUFFIX):
                yield manifest
            else:
                faults.append(Fault(name, f"was signed as {printable(proper)}"))


def file_fault(folder: Path, manifest: Manifest) -> Fault | None:
    """What is wrong with the file of a manifest, if anything. Every form of it that is there is looked at.

    What the receiver has decrypted counts, and so does what is decompressed here.
    """
    beside, plain = manifest.file_beside, DeliveredFile(manifest.file, manifest.bytes, manifest.sha256)
    present = [name for name in forms(manifest) if os.path.lexists(folder / name)]
    if not present:
        return Fault(beside.file_name, "is missing, and its manifest is there")
    for name in present:
        try:
            with opened(folder / name) as file:
                known = {manifest.file: plain, beside.file_name: beside}
                what = difference(file, known[name]) if name in known else None
                if not what and name != manifest.file and name.endswith(GZIP_SUFFIX):
                    file.seek(0)
                    with gzip.GzipFile(fileobj=file) as content:
                        what = difference(content, plain, " inside")
        except (zlib.error, gzip.BadGzipFile, EOFError):
            what = "is no whole gzip file"
        except OSError as error:
            what = f"cannot be read: {error.strerror}"
        if what:
            return Fault(name, what)
    return None


class Readable(Protocol):
    """A file, or what is decompressed from it."""

    def read(self, size: int, /) -> bytes:
        """At most so many bytes. Empty: the end."""


def difference(file: Readable, expected: DeliveredFile, where: str = "") -> str | None:
    """How the content differs from what the manifest says, if it does. `where` is a word for the text."""
    digest, size = hashlib.sha256(), 0
    while block := file.read(BLOCK_BYTES):
        size += len(block)
        digest.update(block)
        if size > expected.bytes and where:  # a few bytes may decompress to very many
            return f"has more than the {expected.bytes} bytes{where} that its manifest says"
    if size != expected.bytes:
        return f"has {size} bytes{where}, and {expected.bytes} by its manifest"
    if digest.hexdigest() != expected.sha256:
        return f"has another content{where} than its manifest says (SHA-256)"
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

"""The chain of a feed's manifests: each names the one before it, and its window begins where that one's ends."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

from contactexport.manifests.manifest import Manifest
from contactexport.manifests.signing import PublicKeys


@dataclass(frozen=True)
class Fault:
    """What is wrong with a file of the folder."""

    file: str
    what: str


@dataclass(frozen=True)
class Chain:
    """The manifests of a feed that count, in their order, and by name the files that failed runs have left."""

    feed: str
    feed_id: int
    manifests: Sequence[Manifest]
    superseded: frozenset[str]

    @property
    def uncovered(self) -> list[tuple[str, str]]:
        """Windows that a reset has left out, since the last file of all contacts."""
        gaps: list[tuple[str, str]] = []
        for before, after in pairwise(self.manifests):
            if after.start is None:
                gaps = []
            elif after.start > before.end:
                gaps.append((before.end, after.start))
        return gaps


def chains_of(manifests: Sequence[Manifest]) -> list[Chain]:
    """The manifests of each feed, without those that a later run with the same sequence has superseded."""
    feeds: dict[int, list[Manifest]] = {}
    for one in manifests:
        if one.feed_id is not None:
            feeds.setdefault(one.feed_id, []).append(one)
    chains = []
    for feed_id, of_feed in sorted(feeds.items()):
        of_feed.sort(key=lambda one: (one.sequence, one.export))
        newest = {one.sequence: one for one in of_feed}
        superseded = frozenset(name for one in newest.values() for name in one.supersedes if name != one.file)
        counting = [one for one in of_feed if one.file not in superseded]
        chains.append(Chain(of_feed[-1].feed or "", feed_id, counting, superseded))
    return chains


def chain_faults(chain: Chain, keys: PublicKeys, first: int) -> Iterator[Fault]:
    """What is wrong with the order of a feed's manifests. Those before the sequence `first` may be missing."""
    head = chain.manifests[0]
    if head.sequence > first:
        yield missing(chain, first, head)
    elif head.sequence == 1 and head.previous is not None:
        yield Fault(head.file, "is the first of its feed, and its manifest names one before it")
    for before, after in pairwise(chain.manifests):
        if after.sequence > before.sequence + 1:
            yield missing(chain, before.sequence + 1, after)
        elif what := wrong_link(before, after, keys):
            yield Fault(after.file, what)


def wrong_link(before: Manifest, after: Manifest, keys: PublicKeys) -> str | None:
    """What is wrong with two manifests that should follow each other."""
    other = printable(before.file)
    joined = after.start in (None, before.end) or after.reset
    same_columns = after.columns == before.columns or after.columns_changed
    faults = (
        (after.sequence == before.sequence, f"has the sequence {after.sequence}, and {other} has it, too"),
        (after.previous != before.digest, f"does not follow {other}: its manifest names another one before it"),
        (not joined, f"begins at {after.start}, and {other} ends at {before.end}"),
        (not same_columns, f"has other columns than {other}, and its manifest does not say that they changed"),
        (keys.age(after.key_id) < keys.age(before.key_id), f"is signed with an older key than {other}"),
    )
    return next((what for is_wrong, what in faults if is_wrong), None)


def missing(chain: Chain, since: int, found: Manifest) -> Fault:
    """That the sequences from `since` on are not there before this manifest."""
    until = found.sequence - 1
    which = f"sequence {since} is" if since == until else f"sequences {since} to {until} are"
    return Fault(found.file, f"is {found.sequence} of the feed {printable(chain.feed)}, and {which} missing before it")


def printable(name: str) -> str:
    """The name in one line, whatever is in it."""
    return name if name.isprintable() else ascii(name)

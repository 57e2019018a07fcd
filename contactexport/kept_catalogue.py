"""The catalogue as this process has last read it, good until it is told of a newer version."""

import threading
import time
from dataclasses import dataclass

from contactexport.models import Catalogue

# The version is raised by triggers, which replication into a database of contacts may leave out.
LONGEST_SECONDS = 60


@dataclass(frozen=True)
class _Kept:
    catalogue: Catalogue
    until: float


class KeptCatalogue:
    """A copy shared by the threads of a process."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._newest = 0
        self._kept: _Kept | None = None

    def note_version(self, version: int) -> None:
        """The catalogue is at least as new as that."""
        with self._lock:
            self._newest = max(self._newest, version)

    def current(self) -> Catalogue | None:
        """The copy, unless there is none or it may be outdated."""
        kept = self._kept
        if kept is None or kept.catalogue.version < self._newest or time.monotonic() >= kept.until:
            return None
        return kept.catalogue

    def keep(self, catalogue: Catalogue) -> None:
        """Takes in what was just read."""
        self._kept = _Kept(catalogue, time.monotonic() + LONGEST_SECONDS)

"""What the page System shows: the doctor's lines, cached, and settings without secrets."""

import dataclasses
import logging
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from contactexport import doctor
from contactexport.context import Context
from contactexport.doctor import Line
from contactexport.secrets.hidden_url import hidden
from contactexport.settings import FILE_SUFFIX, PREFIX, Settings, setting_source

FRESH_SECONDS = 20.0
WAIT_SECONDS = 0.03  # for a look that is under way. The page does not wait for a part that does not answer
LONGEST_SECONDS = 60.0

logger = logging.getLogger(__name__)


@dataclass
class Examination:
    """The doctor's last look at this installation, by one process. A thread looks, so that no page waits for it."""

    lines: list[Line] = field(default_factory=list)
    looked_at: float | None = None  # monotonic
    _begun_at: float | None = None
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _ended: threading.Event = field(default_factory=threading.Event)

    def current(self, context: Context) -> tuple[list[Line], float | None, bool]:
        """The lines, their age in seconds (None: no look has ended yet), and True while a new look is under way.

        At most one look at a time. One that hangs is given up after LONGEST_SECONDS, and then another begins.
        """
        now = time.monotonic()
        with self._lock:
            is_fresh = self.looked_at is not None and now - self.looked_at < FRESH_SECONDS
            looking = self._begun_at is not None and now - self._begun_at < LONGEST_SECONDS
            if not is_fresh and not looking:
                self._begun_at, looking = now, True
                self._ended.clear()
                threading.Thread(target=self._look, args=(context, now), name="doctor", daemon=True).start()
        if looking:
            self._ended.wait(WAIT_SECONDS)
        with self._lock:
            age = None if self.looked_at is None else time.monotonic() - self.looked_at
            return self.lines, age, self._begun_at is not None

    def _look(self, context: Context, begun_at: float) -> None:
        try:
            lines = doctor.examine(context)
        except Exception:  # the page must not wait for ever
            logger.exception("the doctor has failed")
            lines = [Line("doctor", doctor.TO_DO, "the look has failed", "the log of the server says why")]
        with self._lock:
            self.lines, self.looked_at = lines, time.monotonic()
            if self._begun_at == begun_at:
                self._begun_at = None
            self._ended.set()


@dataclass(frozen=True)
class ShownSetting:
    """A setting, its value without what is secret, who has set it, and what it means."""

    name: str
    value: str
    source: str
    meaning: str


def shown_settings(
    settings: Settings, configured: Mapping[str, Any], environment: Mapping[str, str]
) -> list[ShownSetting]:
    """Every setting in the order of docs/operations.md.

    What is None was set by nobody: Flask itself writes a SECRET_KEY into its configuration.
    """
    found = []
    for one in dataclasses.fields(settings):
        name = one.name.upper()
        is_set = getattr(settings, one.name) is not None
        source, text = setting_source(name, configured, environment) if is_set else ("default", None)
        value = "***" if source == PREFIX + name + FILE_SUFFIX else shown_value(name, text)
        found.append(ShownSetting(PREFIX + name, value, source, one.metadata["meaning"]))
    return found


def shown_value(name: str, text: str | None) -> str:
    """The value as it was written. Of a key only that there is one, of a URL all but user, password and parameters."""
    if text is None:
        return ""
    if name.endswith("KEY"):
        return "***"
    return hidden(text) if name.endswith("URL") else text

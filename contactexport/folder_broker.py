"""kombu's filesystem transport, made safe for several processes that read the same folder.

kombu creates a message file under its final name and then fills it, so a reader in another process may take an empty
file and lose the message. Here a message is written aside and appears by a rename, complete or not at all.
"""

import json
import time
import uuid
from pathlib import Path
from typing import Any

from kombu.transport import filesystem

LONGEST_WAIT = 0.1  # seconds


class Channel(filesystem.Channel):
    """The same folders and file names as kombu's, readable by it and by us."""

    # kombu's two base classes disagree on the names of the parameters.
    def _put(self, queue: str, payload: dict[str, Any], **_kwargs: Any) -> None:  # type: ignore[override]
        folder = Path(self.data_folder_out)
        name = f"{time.monotonic_ns() // 1_000_000}_{uuid.uuid4()}.{queue}.msg"
        aside = folder / f"{name}.part"
        aside.touch(mode=0o600)
        aside.write_text(json.dumps(payload), encoding="utf-8")
        aside.rename(folder / name)


class Transport(filesystem.Transport):
    """Given to Celery as `broker_transport` when the broker URL is filesystem://."""

    Channel = Channel

    def drain_events(self, connection: Any, timeout: Any = None, **_kwargs: Any) -> None:
        """Waits for a message, but not longer than LONGEST_WAIT: a worker looks only then whether it is to end.

        Raises TimeoutError when none came.
        """
        shorter = LONGEST_WAIT if timeout is None else min(timeout, LONGEST_WAIT)
        super().drain_events(connection, timeout=shorter)  # type: ignore[no-untyped-call] # kombu has few types

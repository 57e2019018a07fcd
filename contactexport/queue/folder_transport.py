"""kombu's filesystem transport, made safe for several processes that read the same folder.

kombu creates a message file under its final name and then fills it. A reader in another process may take the empty
file and lose the message. Here a message is written under a temporary name and renamed. It appears complete or not at
all.

kombu takes a message by moving it to the temporary folder of the system. On another file system that is a copy. Two
readers may write the copy at once, and each reads a part of it. Here a message is renamed inside its folder.
"""

import contextlib
import json
import os
import time
from pathlib import Path
from queue import Empty
from typing import Any

from kombu.transport import filesystem

NEW_FILE = os.O_WRONLY | os.O_CREAT | os.O_EXCL


class Channel(filesystem.Channel):
    """Uses the folders and file names of kombu, so that both can read them."""

    # The two base classes of kombu disagree on the names of the parameters.
    def _put(self, queue: str, payload: dict[str, Any], **_kwargs: Any) -> None:  # type: ignore[override]
        unique = payload["properties"]["delivery_tag"]
        # Names are joined as text, because a request waits for this. Path objects take as long as the file.
        name = f"{self.data_folder_out}/{time.monotonic_ns() // 1_000_000}_{unique}.{queue}.msg"
        aside = f"{name}.part"
        try:
            try:
                descriptor = os.open(aside, NEW_FILE, 0o600)
            except FileNotFoundError:
                make_folder(Path(aside).parent)
                descriptor = os.open(aside, NEW_FILE, 0o600)
            try:
                content = json.dumps(payload).encode()
                while content:
                    content = content[os.write(descriptor, content) :]
            finally:
                os.close(descriptor)
            os.rename(aside, name)  # noqa: PTH104 - see above
        except OSError:
            Path(aside).unlink(missing_ok=True)
            raise

    def _get(self, queue: str, **_kwargs: Any) -> dict[str, Any]:  # type: ignore[override] # see above
        # Names are text: with a hundred waiting messages, Path objects took longer than everything else.
        with os.scandir(self.data_folder_in) as entries:  # raises if the folder is missing
            names = sorted(entry.name for entry in entries if entry.name.endswith(f".{queue}.msg"))
        for name in names:
            path = Path(self.data_folder_in, name)
            taken = path.with_name(f"{name}.taken")
            try:
                path.rename(taken)
            except OSError:
                continue  # another reader was faster
            payload: dict[str, Any] = json.loads(taken.read_text(encoding="utf-8"))
            taken.unlink()
            return payload
        raise Empty

    def basic_ack(self, delivery_tag: str, multiple: bool = False) -> None:
        """Acknowledges a message, and takes the next one at once instead of at the next poll."""
        super().basic_ack(delivery_tag, multiple)  # type: ignore[no-untyped-call] # kombu has few types
        self.connection.look_at_once()


def make_folder(folder: Path) -> None:
    """Creates a folder for this user alone, with those above it. An existing one stays unchanged. Raises OSError."""
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)


class Transport(filesystem.Transport):
    """The `broker_transport` of Celery if the broker URL is filesystem://.

    It lets the event loop of Celery look for messages, like the transports of RabbitMQ and Redis. Without an event loop
    the processes of a pool share one pipe and its lock. A process that is killed while it waits there keeps the lock
    for ever, and the worker hangs.
    """

    Channel = Channel
    implements = filesystem.Transport.implements.extend(asynchronous=True)
    _loop: Any = None
    # Missing folders count as a lost connection: a worker retries until they are back.
    connection_errors = (*filesystem.Transport.connection_errors, OSError)  # type: ignore[assignment] # one more

    def establish_connection(self) -> Any:
        """Creates the folder of messages if it is missing. Raises OSError on failure. Celery then waits and retries."""
        make_folder(Path(self.client.transport_options["data_folder_in"]))  # type: ignore[union-attr] # always set
        return super().establish_connection()  # type: ignore[no-untyped-call] # kombu has few types

    def register_with_event_loop(self, _connection: Any, loop: Any) -> None:
        """Looks for messages every `polling_interval` seconds."""
        self._loop = loop
        loop.call_repeatedly(self.polling_interval, self._deliver_waiting)

    def look_at_once(self) -> None:
        """Makes the event loop, if there is one, look for messages soon."""
        if self._loop is not None:
            self._loop.call_soon(self._deliver_waiting)

    def _deliver_waiting(self) -> None:
        with contextlib.suppress(Empty):
            while True:
                self.cycle.get(self._deliver)  # type: ignore[union-attr] # always set

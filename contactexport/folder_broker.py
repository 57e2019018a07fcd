"""kombu's filesystem transport, made safe for several processes that read the same folder.

kombu creates a message file under its final name and then fills it, so a reader in another process may take an empty
file and lose the message. Here a message is written aside and appears by a rename, complete or not at all.

kombu takes a message by moving it to the system's temporary folder. On another file system that is a copy, which two
readers may write at once, and each reads what the other has written so far. Here a message is renamed where it lies.
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
    """The same folders and file names as kombu's, readable by it and by us."""

    # kombu's two base classes disagree on the names of the parameters.
    def _put(self, queue: str, payload: dict[str, Any], **_kwargs: Any) -> None:  # type: ignore[override]
        unique = payload["properties"]["delivery_tag"]
        # Names are joined as text: a request waits for this, and Path objects take as long as the file.
        name = f"{self.data_folder_out}/{time.monotonic_ns() // 1_000_000}_{unique}.{queue}.msg"
        aside = f"{name}.part"
        try:
            _write(_new_file(aside), json.dumps(payload).encode())
            os.rename(aside, name)  # noqa: PTH104 - see above
        except OSError:
            Path(aside).unlink(missing_ok=True)
            raise

    def _get(self, queue: str, **_kwargs: Any) -> dict[str, Any]:  # type: ignore[override] # see above
        # As text: with a hundred messages waiting, Path objects took longer than all the rest.
        with os.scandir(self.data_folder_in) as entries:  # raises when the folder is away
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
        """Whoever is done with one message has room for the next, and need not wait for the next look."""
        super().basic_ack(delivery_tag, multiple)  # type: ignore[no-untyped-call] # kombu has few types
        self.connection.look_at_once()


def make_folder(folder: Path) -> None:
    """For this user alone, with the folders above it; one that is there is left as it is. Raises OSError."""
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)


def _new_file(path: str) -> int:
    """For this user alone; its folder is made if it has gone."""
    try:
        return os.open(path, NEW_FILE, 0o600)
    except FileNotFoundError:
        make_folder(Path(path).parent)
        return os.open(path, NEW_FILE, 0o600)


def _write(descriptor: int, content: bytes) -> None:
    try:
        while content:
            content = content[os.write(descriptor, content) :]
    finally:
        os.close(descriptor)


class Transport(filesystem.Transport):
    """Given to Celery as `broker_transport` when the broker URL is filesystem://.

    It lets Celery's event loop look for messages, as the transports of RabbitMQ and Redis do. Without an event loop
    the processes of a worker's pool share one pipe and its lock; one that is killed while it waits there takes the lock
    with it, and the worker never does anything again.
    """

    Channel = Channel
    implements = filesystem.Transport.implements.extend(asynchronous=True)
    _loop: Any = None
    # Folders that are away are a connection that is lost: a worker tries again until they are back.
    connection_errors = (*filesystem.Transport.connection_errors, OSError)  # type: ignore[assignment] # one more

    def establish_connection(self) -> Any:
        """Makes the folder of messages if it is missing. Raises OSError while it cannot be had; Celery then waits."""
        make_folder(Path(self.client.transport_options["data_folder_in"]))  # type: ignore[union-attr] # there from the start
        return super().establish_connection()  # type: ignore[no-untyped-call] # kombu has few types

    def register_with_event_loop(self, _connection: Any, loop: Any) -> None:
        """Looks for messages every `polling_interval` seconds."""
        self._loop = loop
        loop.call_repeatedly(self.polling_interval, self._deliver_waiting)

    def look_at_once(self) -> None:
        """Looks for messages as soon as the event loop, if there is one, gets to it."""
        if self._loop is not None:
            self._loop.call_soon(self._deliver_waiting)

    def _deliver_waiting(self) -> None:
        with contextlib.suppress(Empty):
            while True:
                self.cycle.get(self._deliver)  # type: ignore[union-attr] # it is there from the start on

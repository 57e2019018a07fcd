"""A line to a broker that can be silent or down. The broker itself stays up, since others may use it too."""

import contextlib
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from tests.support.served import free_port


class BrokerLine:
    """Listens on a port and passes data on to the broker's port and back. Without a broker's port it is never up."""

    def __init__(self, broker_port: int | None = None) -> None:
        self.port = free_port()
        self._broker_port = broker_port
        self._flowing = threading.Event()
        self._listening: socket.socket | None = None
        self._accepting = threading.Thread()
        self._ends: list[socket.socket] = []

    def up(self) -> None:
        """Passes everything on."""
        self._listen()
        self._flowing.set()

    def silent(self) -> None:
        """Accepts and keeps connections, but passes nothing on any more."""
        self._flowing.clear()
        self._listen()

    def down(self) -> None:
        """Ends all connections and refuses new ones. Data on the way is lost."""
        if self._listening is not None:
            _close(self._listening)
            self._accepting.join()
            self._listening = None
        for end in self._ends:
            _close(end)
        self._ends.clear()
        self._flowing.set()

    def _listen(self) -> None:
        if self._listening is None:
            self._listening = socket.create_server(("127.0.0.1", self.port))
            self._accepting = threading.Thread(target=self._accept, args=(self._listening,), daemon=True)
            self._accepting.start()

    def _accept(self, listening: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while True:
                here = listening.accept()[0]
                self._ends.append(here)
                if self._broker_port is not None:
                    there = socket.create_connection(("127.0.0.1", self._broker_port))
                    self._ends.append(there)
                    for pair in ((here, there), (there, here)):
                        threading.Thread(target=self._pass_on, args=pair, daemon=True).start()

    def _pass_on(self, source: socket.socket, target: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                self._flowing.wait()
                target.sendall(data)
            target.shutdown(socket.SHUT_RDWR)


def _close(one: socket.socket) -> None:
    """Closes a socket so that threads that wait for it wake up."""
    with contextlib.suppress(OSError):
        one.shutdown(socket.SHUT_RDWR)
    one.close()


@contextmanager
def broker_line(broker_port: int | None = None) -> Iterator[BrokerLine]:
    line = BrokerLine(broker_port)
    try:
        yield line
    finally:
        line.down()

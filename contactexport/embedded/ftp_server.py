"""A real FTP server on loopback for the demo. It stores what it receives in a folder (pyftpdlib)."""

import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pyftpdlib.authorizers import DummyAuthorizer
from pyftpdlib.handlers import FTPHandler
from pyftpdlib.log import config_logging
from pyftpdlib.servers import FTPServer

from contactexport.errors import UsageError


@contextmanager
def running(folder: Path, username: str, password: str, port: int) -> Iterator[int]:
    """Serves `folder` to one user on 127.0.0.1 in a thread. Yields the port. Port 0 asks for a free one.

    Raises UsageError when the port is taken.
    """
    config_logging(level=logging.WARNING)
    authorizer = DummyAuthorizer()
    authorizer.add_user(username, password, str(folder), perm="elradfmwMT")
    handler = type("Handler", (FTPHandler,), {"authorizer": authorizer, "banner": "ready"})
    try:
        server = FTPServer(("127.0.0.1", port), handler)
    except OSError as error:
        raise UsageError(f"No FTP server on port {port}: {error.strerror or error}") from None
    ended = threading.Event()

    def serve() -> None:
        while not ended.is_set():
            server.serve_forever(timeout=0.1, blocking=False, handle_exit=False)
        server.close_all()  # in the thread that polls: a poll of closed sockets fails

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield int(server.address[1])
    finally:
        ended.set()
        thread.join()

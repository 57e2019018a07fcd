"""A real FTP server on loopback, for the demo: what it receives lies in a folder (pyftpdlib)."""

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
    """Serves `folder` to one user on 127.0.0.1 in a thread; yields the port (0 asks for a free one).

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
    thread = threading.Thread(target=_serve, args=(server, ended))
    thread.start()
    try:
        yield int(server.address[1])
    finally:
        ended.set()
        thread.join()


def _serve(server: FTPServer, ended: threading.Event) -> None:
    # Closed by the thread that polls: a poll of closed sockets fails.
    while not ended.is_set():
        server.serve_forever(timeout=0.1, blocking=False, handle_exit=False)
    server.close_all()

"""The threaded worker of gunicorn, with time limits for clients. Each active client has its own thread."""

import errno
import logging
import threading
import time
from collections.abc import Iterable
from typing import Any
from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

from gunicorn import util
from gunicorn.workers.gthread import STOP_KEEPALIVE_LINGER, TConn, ThreadWorker

from contactexport import log_context
from contactexport.errors import RequestTimedOut
from contactexport.serving.client_socket import ClientSocket

# A client that is this late is dropped if others need its thread.
PATIENCE_SECONDS = 1.0
WARNING_SECONDS = 10
# How many threads run the application at once. More would only compete for processors and connections.
MAX_AT_ONCE = 24
# Answered even while the application hangs, as on a database that does not answer.
OUT_OF_TURN = "/healthz"
NOT_ACCEPTED = {errno.EAGAIN, errno.EWOULDBLOCK, errno.ECONNABORTED}

logger = logging.getLogger(__name__)


class Connection(TConn):  # type: ignore[misc] # gunicorn has no types
    """One connection. `accepted` is its socket with the limits."""

    def __init__(self, cfg: Any, accepted: ClientSocket, server: Any) -> None:
        super().__init__(cfg, accepted, accepted.address, server)
        self.accepted = accepted
        self.data_ready = True  # the socket itself waits for data

    def close(self, graceful: bool = False) -> None:  # noqa: ARG002 - gunicorn's signature
        """Closes at once. This runs in the main thread, where waiting for one client would delay all others."""
        util.close(self.sock)


class TimedThreadWorker(ThreadWorker):  # type: ignore[misc] # gunicorn has no types
    """One thread per active connection (docs/decisions/serving.md)."""

    request_seconds = 30.0
    send_seconds = 30.0

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.at_work: set[Connection] = set()
        self._next_warning = 0.0

    def load_wsgi(self) -> None:
        """Loads the application. At most MAX_AT_ONCE threads run it at a time.

        A thread that waits for a body gives its turn to another one, and a thread that sends an answer needs none.
        """
        super().load_wsgi()
        application: WSGIApplication = self.wsgi.wsgi_app
        turns = threading.Semaphore(MAX_AT_ONCE)

        def answer(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
            if environ["PATH_INFO"].rstrip("/") == OUT_OF_TURN:
                return application(environ, start_response)
            client: ClientSocket = environ["gunicorn.socket"]
            with turns:
                client.turns = turns
                try:
                    return application(environ, start_response)
                finally:
                    client.turns = None

        self.wsgi.wsgi_app = answer

    def accept(self, listener: Any) -> None:
        """Takes a new connection. Its limits start when it has a thread."""
        try:
            accepted, address = listener.accept()
        except OSError as error:
            if error.errno not in NOT_ACCEPTED:
                raise
            return
        self.nr_conns += 1
        limited = ClientSocket(accepted, address, self.request_seconds, self.send_seconds)
        self.enqueue_req(Connection(self.cfg, limited, listener.getsockname()))

    def handle(self, conn: Connection) -> bool:
        """Handles one request in a thread. True: the connection stays open for the next one."""
        log_context.begin()  # what cannot be read, or comes too late, has an id as well
        conn.accepted.await_request(has_begun=conn.initialized)
        self.at_work.add(conn)
        try:
            stays = bool(super().handle(conn))
            if not stays:
                util.close_graceful(conn.sock)
        finally:
            self.at_work.discard(conn)
        return stays

    def handle_request(self, req: Any, conn: Connection) -> Any:
        """Runs the application. If the body comes too late, the answer announces that the connection is closed."""
        conn.accepted.when_late = req.force_close
        return super().handle_request(req, conn)

    def handle_error(self, req: Any, client: Any, addr: Any, exc: BaseException) -> None:
        """Answers requests that do not reach the application."""
        if isinstance(exc, RequestTimedOut):
            logger.info("request refused: not complete within %g seconds: client=%s", self.request_seconds, addr)
            util.write_error(client, exc.http_status, exc.text, "")
        else:
            super().handle_error(req, client, addr, exc)

    def wait_for_and_dispatch_events(self, timeout: float) -> None:
        """Does one turn of the main loop, at least one per second. Drops slow clients if threads are lacking."""
        super().wait_for_and_dispatch_events(timeout)
        if not self.alive:  # clients that only connected are not waited for
            self._drop_slowest([one for one in self._slowest(STOP_KEEPALIVE_LINGER) if not one.has_begun])
        without_thread = self.nr_conns - len(self.keepalived_conns) - self.cfg.threads
        if without_thread > 0:
            self._drop_slowest(self._slowest(PATIENCE_SECONDS)[:without_thread])

    def _slowest(self, seconds: float) -> list[ClientSocket]:
        """Returns the clients that have kept their threads waiting for these seconds, the slowest first."""
        now = time.monotonic()
        waiting = [(conn.accepted.waiting_since, conn.accepted) for conn in tuple(self.at_work)]
        late = [(since, one) for since, one in waiting if since is not None and now - since >= seconds]
        return [one for _, one in sorted(late, key=lambda pair: pair[0])]

    def _drop_slowest(self, slowest: list[ClientSocket]) -> None:
        for one in slowest:
            one.drop()
        if slowest and self.alive and time.monotonic() >= self._next_warning:
            logger.warning("all %d threads are in use: dropping clients that keep us waiting", self.cfg.threads)
            self._next_warning = time.monotonic() + WARNING_SECONDS

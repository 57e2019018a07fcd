"""gunicorn's worker with threads, in which a client holds a thread of its own, and for no longer than it may."""

import errno
import logging
import threading
import time
from collections.abc import Iterable
from typing import Any
from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

from gunicorn import util
from gunicorn.workers.gthread import STOP_KEEPALIVE_LINGER, TConn, ThreadWorker

from contactexport.errors import RequestTimedOut
from contactexport.serving.client_socket import ClientSocket

# A client that has kept us waiting for so long is dropped when its thread is needed for others.
PATIENCE_SECONDS = 1.0
WARNING_SECONDS = 10
# So many threads run the application at once: more would only take the processor and the connections from each other.
MOST_AT_ONCE = 24
# Answered even while the application is stuck, as with a database that does not answer.
OUT_OF_TURN = "/healthz"
NOT_ACCEPTED = {errno.EAGAIN, errno.EWOULDBLOCK, errno.ECONNABORTED}

logger = logging.getLogger(__name__)


class Connection(TConn):  # type: ignore[misc] # gunicorn has no types
    """One connection; `accepted` is its socket with the limits."""

    def __init__(self, cfg: Any, accepted: ClientSocket, server: Any) -> None:
        super().__init__(cfg, accepted, accepted.address, server)
        self.accepted = accepted
        self.data_ready = True  # the socket itself waits for data

    def close(self, graceful: bool = False) -> None:  # noqa: ARG002 - gunicorn's signature
        """Closes at once: this runs in the main thread, where waiting for one client would hold up all others."""
        util.close(self.sock)


class TimedThreadWorker(ThreadWorker):  # type: ignore[misc] # gunicorn has no types
    """One thread a connection that is at work; see docs/decisions/serving.md."""

    request_seconds = 30.0
    send_seconds = 30.0

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.at_work: set[Connection] = set()
        self._next_warning = 0.0

    def load_wsgi(self) -> None:
        """Loads the application, to be run in turns."""
        super().load_wsgi()
        self.wsgi.wsgi_app = _in_turns(self.wsgi.wsgi_app)

    def accept(self, listener: Any) -> None:
        """Takes a new connection, whose limits begin to count once it has its thread."""
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
        """One request, in a thread. True: the connection stays open for the next one."""
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
        """Runs the application. When the body comes too late, its answer says that the connection is closed."""
        conn.accepted.when_late = req.force_close
        return super().handle_request(req, conn)

    def handle_error(self, req: Any, client: Any, addr: Any, exc: BaseException) -> None:
        """Answers what never reached the application."""
        if isinstance(exc, RequestTimedOut):
            logger.info("request refused: not complete within %g seconds: client=%s", self.request_seconds, addr)
            util.write_error(client, exc.http_status, exc.text, "")
        else:
            super().handle_error(req, client, addr, exc)

    def wait_for_and_dispatch_events(self, timeout: float) -> None:
        """One turn of the main loop, at least one a second; makes room when there are not enough threads."""
        super().wait_for_and_dispatch_events(timeout)
        if not self.alive:  # nobody waits for clients that have only connected
            self._drop_slowest([one for one in self._slowest(STOP_KEEPALIVE_LINGER) if not one.has_begun])
        without_thread = self.nr_conns - len(self.keepalived_conns) - self.cfg.threads
        if without_thread > 0:
            self._drop_slowest(self._slowest(PATIENCE_SECONDS)[:without_thread])

    def _slowest(self, seconds: float) -> list[ClientSocket]:
        """Those that have kept their threads waiting for so long, the slowest first."""
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


def _in_turns(application: WSGIApplication) -> WSGIApplication:
    """MOST_AT_ONCE at a time; who waits for a body gives its turn away meanwhile, and who sends an answer has none."""
    turns = threading.Semaphore(MOST_AT_ONCE)

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

    return answer

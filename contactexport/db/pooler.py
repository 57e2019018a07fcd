"""Refuses a pooler that gives the server process of a session to others between two transactions.

Locks and settings of a session would get lost there, or stay with a stranger. Such a pooler shows itself in that two
connections, open at the same time, have the same server process, or one connection has another than a moment ago.
"""

import select
import time
from collections.abc import Callable, Mapping
from typing import Any

from psycopg2.extensions import POLL_OK, POLL_READ, connection

from contactexport.db.queries import queries
from contactexport.errors import DatabaseUnavailable, PoolerRefused

# One turn is enough unless others happen to take the process each time in between.
TURNS = 10
WAIT_SECONDS = 5


def require_own_process(conn: connection, connect: Callable[..., connection]) -> None:
    """Raises PoolerRefused when the session of a connection, just made, is not bound to one server process.

    `connect` makes another such connection. Nothing is set, so nothing stays with a process that others get.
    Raises DatabaseUnavailable when a pooler gives no second connection.
    """
    process = int(queries("pooler").server_process(conn))
    if process == conn.info.backend_pid:  # a pooler does not know it when it greets
        return
    until = time.monotonic() + WAIT_SECONDS
    other = connect(async_=True)  # so that waiting for it has an end
    try:
        _wait(other, until)
        for _ in range(TURNS):
            if _ask(other, until) == process or int(queries("pooler").server_process(conn)) != process:
                raise PoolerRefused
    finally:
        other.close()


def _ask(conn: connection, until: float) -> int:
    with conn.cursor() as cursor:
        cursor.execute(queries("pooler").server_process.sql)
        _wait(conn, until)
        row: Mapping[str, Any] = cursor.fetchone()
    return int(row["process"])


def _wait(conn: connection, until: float) -> None:
    while (state := conn.poll()) != POLL_OK:
        ready = select.poll()
        ready.register(conn.fileno(), select.POLLIN if state == POLL_READ else select.POLLOUT)
        if not ready.poll(max(0.0, until - time.monotonic()) * 1000):
            raise DatabaseUnavailable(
                f"The pooler gives no second connection within {WAIT_SECONDS} seconds: its pool is too small"
            )

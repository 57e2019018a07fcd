"""Refuses a pooler that lends the server process of a session to others between two transactions.

Locks and settings of a session would get lost there, or stay with a stranger. There are two signs of such a pooler: two
open connections have the same server process, or the process of one connection changes.
"""

import select
import time
from collections.abc import Callable, Mapping
from typing import Any

from psycopg2.extensions import POLL_OK, POLL_READ, connection

from contactexport.db.queries import queries
from contactexport.errors import DatabaseUnavailable, PoolerRefused

# One turn is enough, unless somebody else takes the process in between.
TURNS = 10
WAIT_SECONDS = 5


def require_own_process(conn: connection, connect: Callable[..., connection]) -> None:
    """Raises PoolerRefused if the session of a new connection is not bound to one server process.

    `connect` opens another such connection. The check sets nothing, so nothing stays with a process that others get.
    Raises DatabaseUnavailable if a pooler gives no second connection.
    """
    process = int(queries("pooler").server_process(conn))
    if process == conn.info.backend_pid:  # a pooler cannot know it when it greets
        return
    until = time.monotonic() + WAIT_SECONDS
    other = connect(async_=True)  # so that the wait for it can end
    try:
        _wait(other, until)
        for _ in range(TURNS):
            with other.cursor() as cursor:
                cursor.execute(queries("pooler").server_process.sql)
                _wait(other, until)
                row: Mapping[str, Any] = cursor.fetchone()
            if int(row["process"]) == process or int(queries("pooler").server_process(conn)) != process:
                raise PoolerRefused
    finally:
        other.close()


def _wait(conn: connection, until: float) -> None:
    while (state := conn.poll()) != POLL_OK:
        ready = select.poll()
        ready.register(conn.fileno(), select.POLLIN if state == POLL_READ else select.POLLOUT)
        if not ready.poll(max(0.0, until - time.monotonic()) * 1000):
            raise DatabaseUnavailable(
                f"The pooler gives no second connection within {WAIT_SECONDS} seconds: its pool is too small"
            )

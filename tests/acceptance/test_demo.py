"""`make demo` and `make serve`, with few contacts and on free ports."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import psutil
import pytest
import requests

from contactexport.embedded import demo, ftp_server, playground
from contactexport.embedded.local_service import PROJECT, LocalService
from contactexport.errors import ContactExportError, UsageError
from tests.support.served import free_port

pytestmark = pytest.mark.slow


def run_demo(folder) -> int:
    http_port = free_port()
    ftp_port = next(port for port in iter(free_port, None) if port != http_port)
    return demo.main(folder / "demo", contacts=1000, http_port=http_port, ftp_port=ftp_port)


@pytest.fixture
def tmp_path():
    """Not below pytest's own folder: another session of pytest would deny the database's user access to it."""
    folder = Path(tempfile.mkdtemp(prefix="contactexport-"))
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


def test_demo_succeeds_and_leaves_nothing_behind(tmp_path, capsys):
    assert run_demo(tmp_path) == 0
    told = capsys.readouterr().out
    assert '"replyCode": 4001' in told
    assert "Everything is as expected." in told
    assert list(tmp_path.iterdir()) == []


def test_demo_fails_when_the_ftp_server_refuses(tmp_path, capsys, monkeypatch):
    running = ftp_server.running
    monkeypatch.setattr(
        ftp_server, "running", lambda folder, user, _password, port: running(folder, user, "another", port)
    )
    monkeypatch.setattr(demo, "SECONDS_AN_EXPORT", 2.0)
    assert run_demo(tmp_path) == 1
    assert "FAILED: Export 1 is not finished" in capsys.readouterr().out


@pytest.mark.parametrize(("found", "expected"), [(1, 2), ("a", "b"), ([1], [])], ids=["numbers", "texts", "lists"])
def test_any_difference_in_the_file_fails_the_demo(found, expected):
    with pytest.raises(ContactExportError, match="expected"):
        demo._expect("something", found, expected)


@pytest.mark.parametrize("told_by", [signal.SIGINT, signal.SIGTERM])
def test_playground_serves_until_it_is_stopped_even_in_the_background(tmp_path, told_by):
    port = free_port()
    process = subprocess.Popen(
        [
            sys.executable,
            "-m",
            playground.__name__,
            *("--port", str(port), "--contacts", "10", "--data-dir", str(tmp_path / "var")),
        ],
        cwd=PROJECT,
        stdout=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_IGN),  # like a shell for background commands
    )
    told = ""
    while "Ctrl-C stops everything" not in told:
        line = process.stdout.readline()
        assert line, told
        told += line
    assert "curl -H 'Authorization: Bearer cx_" in told
    link = re.search(rf"http://127.0.0.1:{port}/console/sign-in/once/\S+", told)[0]
    for expected in ("<h1>Overview</h1>", "<h1>Sign in</h1>"):  # it is of use once
        browser = requests.Session()
        csrf_token = re.search('name="csrf_token" value="([^"]+)"', browser.get(link, timeout=10).text)[1]
        assert expected in browser.post(link, {"csrf_token": csrf_token}, timeout=10).text
    assert requests.get(f"http://127.0.0.1:{port}/readyz", timeout=10).status_code == 200
    ours = psutil.Process(process.pid).children(recursive=True)
    process.send_signal(told_by)
    process.communicate(timeout=60)
    assert process.returncode == 0
    assert [one for one in ours if one.is_running() and one.status() != psutil.STATUS_ZOMBIE] == []
    assert not (tmp_path / "var" / "postgres" / "postmaster.pid").exists()


def test_failing_command_is_reported_with_its_name_and_exit_code(tmp_path):
    service = LocalService(tmp_path, free_port(), {"DATABASE_URL": "postgresql://127.0.0.1:1/none"})
    with pytest.raises(ContactExportError, match="`flask export list` ended with 1"):
        service.flask("export", "list")
    with pytest.raises(ContactExportError, match="`flask serve` ended with 1"), service.serving():
        pass


def test_second_ftp_server_on_the_same_port_is_refused(tmp_path):
    with (
        ftp_server.running(tmp_path, "user", "pass", 0) as port,
        pytest.raises(UsageError, match=f"port {port}"),
        ftp_server.running(tmp_path, "user", "pass", port),
    ):
        pass


def playground_in(data_dir, port):
    """`make serve` with its folder from the environment."""
    return subprocess.Popen(
        [sys.executable, "-m", playground.__name__, "--port", str(port), "--contacts", "10"],
        cwd=PROJECT,
        env=os.environ | {"CONTACTEXPORT_DATA_DIR": str(data_dir)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_second_playground_is_refused_with_a_reason_and_the_first_continues(tmp_path):
    data_dir, port = tmp_path / "with a blank", free_port()
    first = playground_in(data_dir, port)
    try:
        told = ""
        while "Ctrl-C stops everything" not in told:
            line = first.stdout.readline()
            assert line, told + first.stderr.read()
            told += line
        token = re.search("Bearer (cx_[^']+)", told)[1]
        assert str(data_dir / "exports") in told
        for other_port, reason in (
            (port, "Cannot listen on"),
            (free_port(), f"The service runs already in {data_dir}"),
        ):
            second = playground_in(data_dir, other_port)
            out, err = second.communicate(timeout=120)
            assert second.returncode == 2
            assert (out.count("\n"), out.startswith(f"Error: {reason}")) == (1, True)
            assert "FAILED" not in out + err
        served = LocalService(data_dir, port)
        with (
            pytest.raises(ContactExportError, match="`flask serve` ended with 2"),
            LocalService(data_dir, free_port()).serving(),
        ):
            pass
        assert served.call("GET", "/api/v2/export", token)[0] == 200
        assert json.loads(served.flask("users", "list", "--json"))
    finally:
        first.terminate()
        first.communicate(timeout=60)
    assert not (data_dir / "postgres" / "postmaster.pid").exists()


def test_empty_database_url_is_refused(tmp_path):
    for name in ("DATABASE_URL", "CONTACTS_DATABASE_URL"):
        done = subprocess.run(
            [sys.executable, "-m", "flask", "db", "url"],
            cwd=PROJECT,
            env=LocalService(tmp_path / "data", 1, {name: ""}).environment() | {"PGHOST": "127.0.0.1"},
            capture_output=True,
            text=True,
            check=False,
        )
        assert (done.returncode, done.stdout) == (2, "")
        assert done.stderr.startswith(f"contactexport: CONTACTEXPORT_{name} is empty: a URL expected")
    assert not (tmp_path / "data").exists()


def test_demo_is_kept_until_it_is_stopped_and_shows_what_it_did(tmp_path):
    """In a folder of its own, since the demo deletes the folder that it uses."""
    begin = (
        "import sys; from pathlib import Path; from contactexport.embedded import demo; "
        f"sys.exit(demo.main(Path({str(tmp_path / 'demo')!r}), contacts=1000, http_port={free_port()}, "
        f"ftp_port={free_port()}, afterwards=demo.keep))"
    )
    process = subprocess.Popen([sys.executable, "-c", begin], cwd=PROJECT, stdout=subprocess.PIPE, text=True)
    told = ""
    while "Ctrl-C stops everything" not in told:
        line = process.stdout.readline()
        assert line, told
        told += line
    link = re.search(r"http://\S+/console/sign-in/once/\S+", told)[0]
    browser = requests.Session()
    found = dict(re.findall('name="(csrf_token|next)" value="([^"]+)"', browser.get(link, timeout=10).text))
    shown = browser.post(link, found, timeout=10)
    assert (shown.status_code, shown.url.rpartition("/")[2]) == (200, "exports")
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=60)
    assert process.returncode == 0
    assert list(tmp_path.iterdir()) == []


def test_link_to_the_console_is_printed_in_a_terminal_or_on_demand_only(tmp_path):
    service = LocalService(tmp_path / "data", free_port())
    with service.serving():  # its output goes to this process
        assert json.loads(service.flask("users", "list", "--json")) == []  # a link would need a user
    with service.serving_with_link() as (_, link):
        assert requests.get(link, timeout=10).status_code == 200
        users = json.loads(service.flask("users", "list", "--json"))
    assert [(user["name"], user["operator"]) for user in users] == [("operator", True)]

"""A request passes through gunicorn and a Celery worker, as a client and an operator see it."""

import csv
import hashlib
import json
import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import psutil
import pytest
import requests

from contactexport.embedded import ftp_server
from contactexport.errors import ALREADY_RUNNING
from tests.support.served import EXAMPLE, GETCHANGES, Served, SilentServer, execute, running, wait_until

PASSWORD = "f7-Geheim-Wort"
REFUSED = {"replyCode": 4001, "replyText": ALREADY_RUNNING, "data": ""}


@pytest.fixture(scope="module")
def served(tmp_path_factory) -> Iterator[Served]:
    with running(tmp_path_factory.mktemp("served"), contacts=3000) as started:
        yield started


@pytest.fixture
def silent_ftp() -> Iterator[SilentServer]:
    server = SilentServer()
    yield server
    server.close()


def by_ftp(port: int, **changes) -> dict:
    target = {"host": "127.0.0.1", "port": str(port), "username": "user", "password": PASSWORD}
    return EXAMPLE | {"distribution_method": "ftp", "ftp_settings": target | {"folder": "path/of/a/folder"}} | changes


def test_local_export_has_the_file_that_its_status_describes(served):
    answer = served.post(EXAMPLE)
    assert (answer.status_code, answer.json()["replyCode"], answer.json()["replyText"]) == (200, 0, "OK")
    done = served.finished(answer.json()["data"]["id"])
    assert (done["status"], done["error"], done["ftp_host"]) == ("done", None, None)
    content = (served.data_dir / "exports" / done["file_name"]).read_bytes()
    assert (len(content), hashlib.sha256(content).hexdigest()) == (done["bytes"], done["sha256"])
    header, *rows = csv.reader(content.decode().splitlines(), delimiter=";")
    assert header == ["user_id", "First Name", "E-Mail", "Loyalty number", "last update"]
    assert len(rows) == done["rows"] > 0
    assert all("2012-02-09" <= row[-1] < "2012-04-02" for row in rows)


def test_request_example_of_the_specification_arrives_by_ftp_in_its_folder(served, tmp_path):
    with ftp_server.running(tmp_path, "user", PASSWORD, 0) as port:
        export_id = served.post(by_ftp(port)).json()["data"]["id"]
        done = served.finished(export_id)
    assert done["status"] == "done", done
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert files == [tmp_path / "path/of/a/folder" / done["file_name"]]
    assert hashlib.sha256(files[0].read_bytes()).hexdigest() == done["sha256"]


def test_status_passes_through_the_states_in_order(served, silent_ftp):
    export_id = served.post(by_ftp(silent_ftp.port)).json()["data"]["id"]
    seen = [served.status(export_id)["status"]]
    wait_until(lambda: served.status(export_id)["status"] == "ready", "the file is complete")
    ready = served.status(export_id)
    silent_ftp.wait_for_visitor()
    assert seen[0] in {"scheduled", "in progress", "ready"}
    assert (ready["file_name"], ready["ftp_dir"]) == (None, "path/of/a/folder")
    assert ready["rows"] == ready["rows_expected"] > 0


def test_password_is_not_in_logs_folders_status_or_command_lines(served, silent_ftp):
    export_id = served.post(by_ftp(silent_ftp.port)).json()["data"]["id"]
    silent_ftp.wait_for_visitor()
    places = {
        "log": served.log.read_bytes(),
        "status": served.get(f"/api/v2/export/{export_id}").content,
        "command lines": str([process.info for process in psutil.process_iter(["cmdline"])]).encode(),
    }
    places |= {str(path): _content(path) for path in served.data_dir.rglob("*") if path.is_file()}
    assert len(places) > 100
    assert [name for name, content in places.items() if PASSWORD.encode() in content] == []


def test_one_of_twenty_simultaneous_identical_requests_is_accepted(served, silent_ftp):
    together = Barrier(20)
    # The FTP host is silent, so the export does not end before the last request arrives.
    request = by_ftp(silent_ftp.port, time_range=["2012-02-10", "2012-04-03"])

    def ask(_number: int) -> requests.Response:
        together.wait()
        return served.post(request)

    with ThreadPoolExecutor(20) as clients:
        answers = list(clients.map(ask, range(20)))
    accepted = [answer for answer in answers if answer.status_code == 200]
    refused = [answer for answer in answers if answer.status_code == 400]
    assert (len(accepted), len(refused)) == (1, 19)
    assert all(answer.json() == REFUSED for answer in refused)
    assert served.status(accepted[0].json()["data"]["id"])["status"] in {"scheduled", "in progress", "ready"}


def test_finished_export_may_be_requested_again_at_once(served):
    for _ in range(5):
        assert served.finished(served.accepted(language="it"))["status"] == "done"


def test_command_line_is_refused_while_a_worker_runs_the_same_setting(served, silent_ftp):
    served.post(by_ftp(silent_ftp.port))
    silent_ftp.wait_for_visitor()
    command = served.command(*_command_line(silent_ftp.port), FTP_PASSWORD=PASSWORD)
    output, errors = command.communicate(timeout=60)
    assert (command.returncode, output) == (3, "")
    assert re.fullmatch(
        rf"Error: {re.escape(ALREADY_RUNNING)} It is export (\d+), see `flask export show \1`\n", errors
    )


def test_request_is_refused_while_the_command_line_runs_the_same_setting(served, silent_ftp):
    command = served.command(*_command_line(silent_ftp.port), FTP_PASSWORD=PASSWORD)
    try:
        silent_ftp.wait_for_visitor()
        answer = served.post(by_ftp(silent_ftp.port))
        assert (answer.status_code, answer.json()) == (400, REFUSED)
    finally:
        command.kill()
        command.communicate()


@pytest.mark.parametrize(
    ("method", "path", "options", "status", "text"),
    [
        ("GET", "/api/v2/nothing", {}, 404, "Not found"),
        ("GET", GETCHANGES, {}, 405, "Method not allowed"),
        ("POST", GETCHANGES, {"data": b" " * (64 * 1024 + 1)}, 413, "Request entity too large"),
        ("POST", GETCHANGES, {"data": "a: b", "headers": {"Content-Type": "text/yaml"}}, 415, "Unsupported media type"),
        ("POST", GETCHANGES, {"headers": {"Authorization": "Bearer wrong"}}, 401, "Unauthorized"),
        ("POST", GETCHANGES, {"data": "{"}, 400, "Invalid JSON in the request body"),
        ("POST", GETCHANGES, {"json": {}}, 400, "Missing parameter: distribution_method"),
    ],
)
def test_error_is_answered_in_the_envelope(served, method, path, options, status, text):
    headers = {"Authorization": f"Bearer {served.token}", "Content-Type": "application/json"}
    answer = requests.request(
        method, served.url + path, timeout=30, **options | {"headers": headers | options.get("headers", {})}
    )
    code = 10001 if status == 400 else 1
    assert (answer.status_code, answer.json()) == (status, {"replyCode": code, "replyText": text, "data": ""})


def test_memory_of_the_worker_stays_flat_during_a_large_export(served):
    worker = served.child("celery")
    url = served.service.flask("db", "url").strip()
    execute(
        url,
        """INSERT INTO contact (origin_kind, origin_id, first_name, last_name, email, city, company, mobile, zip_code)
        SELECT 'form', 124, 'Ada ' || n, 'Lovelace', n || '@example.com', 'London', 'Engines; Ltd', '0123', n::text
        FROM generate_series(1, 200000) AS n""",
    )
    idle = _memory(worker)
    export_id = served.accepted(
        origin_id=124, time_range=["2020-01-01", "2120-01-01"], contact_fields=[1, 2, 3, 11, 13, 18, 37, 106533]
    )
    most = idle
    while served.status(export_id)["status"] not in {"done", "error"}:
        most = max(most, _memory(worker))
    assert served.status(export_id)["rows"] >= 200_000
    assert most - idle < 30 * 2**20, f"{(most - idle) / 2**20:.1f} MB"


def _command_line(port: int) -> list[str]:
    settings = ("--origin", "form", "--origin-id", "123", "--from", "2012-02-09", "--to", "2012-04-02")
    target = ("--ftp", f"ftp://user@127.0.0.1:{port}/path/of/a/folder")
    return ["export", "changes", *settings, "--fields", "1,3,106533", "--delimiter", ";", *target]


def _memory(process: psutil.Process) -> int:
    """Bytes of a process and all its children. Shared pages count once."""
    return sum(one.memory_full_info().pss for one in (process, *process.children(recursive=True)))


def _content(path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:  # the server has just deleted it
        return b""


def test_status_is_plain_json_with_id_and_window(served):
    export_id = served.accepted(time_range=["2012-05-01", "2012-05-02"])
    done = served.finished(export_id)
    assert json.loads(json.dumps(done)) == done
    assert done["id"] == str(export_id)
    assert done["time_range"] == ["2012-05-01T00:00:00+00:00", "2012-05-02T00:00:00+00:00"]

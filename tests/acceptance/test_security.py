"""What the running service, with all its processes, keeps secret and whom it lets in."""

import base64
import hashlib
import json
import secrets
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from threading import Barrier

import psutil
import psycopg2
import pytest
import requests
from psycopg2 import sql

from contactexport.embedded import ftp_server
from tests.support.processes import server
from tests.support.served import EXAMPLE, Served, free_port, running, wait_until

PASSWORD = "n1e-Wieder-Gesehen"


@pytest.fixture(scope="module")
def served(tmp_path_factory) -> Iterator[Served]:
    with running(tmp_path_factory.mktemp("served"), contacts=500) as started:
        yield started


def by_ftp(port: int, language: str) -> dict:
    target = {"host": "127.0.0.1", "port": port, "username": "user", "password": PASSWORD}
    return EXAMPLE | {"distribution_method": "ftp", "ftp_settings": target, "language": language}


def every_row(served: Served) -> str:
    """The whole database as text, except the column with the encrypted password."""
    connection = psycopg2.connect(served.service.flask("db", "url").strip())
    try:
        with connection, connection.cursor() as cursor:
            cursor.execute("SELECT relname FROM pg_class WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace")
            rows = []
            for (table,) in cursor.fetchall():
                cursor.execute(sql.SQL("SELECT to_jsonb(t) - 'ftp_secret' FROM {} AS t").format(sql.Identifier(table)))
                rows += [json.dumps(row) for (row,) in cursor.fetchall()]
            return "\n".join(rows)
    finally:
        connection.close()


def test_password_is_nowhere_after_delivered_and_failed_exports(served, tmp_path):
    with ftp_server.running(tmp_path, "user", PASSWORD, 0) as port:
        arrived = served.finished(served.post(by_ftp(port, "en")).json()["data"]["id"])
    assert arrived["status"] == "done", arrived
    with ftp_server.running(tmp_path, "user", "another password", 0) as port:
        failed_id = served.post(by_ftp(port, "de")).json()["data"]["id"]
        wait_until(lambda: served.status(failed_id)["error"] is not None, "the first login is refused")
    failed = served.status(failed_id)
    assert failed["error"], "it cannot log in"

    places = {
        "log": served.log.read_text(),
        "status": json.dumps([arrived, failed]),
        "list": served.get("/api/v2/export").text,
        "command line": served.service.flask("export", "list", "--json"),
        "database": every_row(served),
        "processes": str([process.info for process in psutil.process_iter(["cmdline"])]),
    }
    places |= {
        str(path): path.read_bytes().decode(errors="replace") for path in (served.data_dir / "broker").rglob("*.*")
    }
    assert [name for name, content in places.items() if PASSWORD in content] == []
    assert "ftp_secret" not in places["database"]


def test_wsse_header_is_accepted_once_by_all_processes_together(served):
    made = json.loads(served.service.flask("users", "add", "replayed", "--wsse", "--json"))
    nonce, created = secrets.token_hex(16), f"{datetime.now(UTC):%FT%TZ}"
    sha1 = hashlib.sha1(f"{nonce}{created}{made['secret']}".encode(), usedforsecurity=False).hexdigest()
    digest = base64.b64encode(sha1.encode()).decode()
    header = (
        f'UsernameToken Username="replayed", PasswordDigest="{digest}", Nonce="{nonce}", Created="{created}"'
    )  # fmt: skip
    workers = served.child("gunicorn").children()
    together = Barrier(24)

    def call(_number: int) -> int:
        together.wait()
        return requests.get(f"{served.url}/api/v2/form", headers={"X-WSSE": header}, timeout=30).status_code

    with ThreadPoolExecutor(24) as clients:
        answers = sorted(clients.map(call, range(24)))
    assert len(workers) == 2
    assert answers == [200] + [401] * 23


def test_answers_hide_the_server_software_and_have_security_headers(served):
    headers = served.get("/api/v2/form").headers
    assert "Server" not in headers
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Content-Security-Policy"].startswith("default-src 'none'")
    assert headers["Cache-Control"] == "no-store"


def test_refusals_of_the_http_server_are_in_the_envelope_too(served):
    with requests.Session() as session:
        answer = session.get(served.url + "/healthz", headers={"X-Long": "x" * 9000}, timeout=30)
    assert answer.status_code == 431
    assert answer.json()["replyCode"] == 1
    assert answer.json()["data"] == ""


def test_files_and_keys_are_readable_only_by_their_owner(served):
    served.finished(served.accepted(language="fr"))
    exports = served.data_dir / "exports"
    ours = [served.data_dir / "secret_key", exports, *exports.iterdir(), served.data_dir / "broker" / "messages"]
    assert len(ours) > 3
    assert [path for path in ours if path.stat().st_mode & 0o077] == []


def test_limit_of_requests_counts_for_all_processes_together(context):
    with server(context, REQUESTS_PER_MINUTE="5") as limited:
        answers = [limited.get("/api/v2/form") for _ in range(12)]
    refused = [answer for answer in answers if answer.status_code == 429]
    assert len(refused) >= 12 - 2 * 5  # a new minute may begin in between
    assert all(1 <= int(answer.headers["Retry-After"]) <= 60 for answer in refused)
    assert refused[0].json() == {"replyCode": 1, "replyText": "More than 5 requests in a minute", "data": ""}


def test_unfinished_exports_of_a_user_have_a_limit(context):
    with server(context, EXPORTS_PER_USER="2") as limited:
        unreachable = free_port()
        answers = [limited.post(by_ftp(unreachable, language)) for language in ("en", "de", "fr")]
    assert [answer.status_code for answer in answers] == [200, 200, 429]
    assert int(answers[2].headers["Retry-After"]) > 0

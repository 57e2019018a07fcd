"""OAuth clients of the running service, with an independent library. Revoked credentials on two servers."""

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import requests
from oauthlib.oauth2 import BackendApplicationClient, InvalidClientError
from requests.auth import HTTPBasicAuth
from requests_oauthlib import OAuth2Session

from contactexport.embedded.local_service import PROJECT
from tests.support.served import Served, free_port, running, wait_until
from tests.support.wsse_header import wsse_header

FORM = {"Content-Type": "application/x-www-form-urlencoded"}


@pytest.fixture(scope="module")
def served(tmp_path_factory) -> Iterator[Served]:
    with running(tmp_path_factory.mktemp("served"), contacts=20) as started:
        yield started


@pytest.fixture(autouse=True)
def _plain_http(monkeypatch: pytest.MonkeyPatch) -> None:
    """Allows http in the library, because no proxy here does TLS."""
    monkeypatch.setenv("OAUTHLIB_INSECURE_TRANSPORT", "1")


def add_client(served: Served, name: str) -> dict[str, str]:
    return json.loads(served.service.flask("users", "add", name, "--oauth", "--json"))


def session_of(served: Served, made: dict[str, str], *, by_basic: bool) -> OAuth2Session:
    """A session of the library with a token that it has requested."""
    session = OAuth2Session(client=BackendApplicationClient(made["client_id"]))
    credentials: dict[str, Any] = (
        {"auth": HTTPBasicAuth(made["client_id"], made["client_secret"])}
        if by_basic
        else {"client_secret": made["client_secret"], "include_client_id": True}
    )
    token = session.fetch_token(f"{served.url}/oauth2/token", **credentials)
    assert (token["token_type"], token["expires_in"]) == ("Bearer", 3600)
    return session


@contextmanager
def second_server(served: Served) -> Iterator[str]:
    """The address of another gunicorn on the same database, with one worker process."""
    port = free_port()
    environment = served.service.environment() | {"BIND": f"127.0.0.1:{port}", "WEB_CONCURRENCY": "1"}
    process = subprocess.Popen(
        [sys.executable, "-m", "gunicorn", "--config", "config/gunicorn.py", "wsgi:app"],
        cwd=PROJECT,
        env=environment,
        stderr=subprocess.DEVNULL,
    )
    try:
        wait_until(lambda: is_alive(port), "the second server answers")
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(timeout=60)


def is_alive(port: int) -> bool:
    try:
        return requests.get(f"http://127.0.0.1:{port}/healthz", timeout=5).status_code == 200
    except requests.ConnectionError:
        return False


@pytest.mark.parametrize("by_basic", [True, False], ids=["basic", "form"])
def test_client_library_exports_over_v3(by_basic: bool, served: Served):
    made = add_client(served, f"library-{by_basic}")
    session = session_of(served, made, by_basic=by_basic)
    body = {
        "distribution_method": "local",
        "origin": "all",
        "time_range": ["2000-01-01", f"20{31 + by_basic}-01-01"],
        "contact_fields": [3],
    }
    accepted = session.post(f"{served.url}/api/v3/contact/getchanges", json=body, timeout=30).json()
    assert accepted["replyText"] == "OK"
    assert served.finished(accepted["data"]["id"])["status"] == "done"
    file = session.get(f"{served.url}/api/v3/export/{accepted['data']['id']}/data", timeout=30)
    assert len(file.text.splitlines()) == 21


def test_client_library_understands_a_refusal(served: Served):
    made = add_client(served, "mistaken")
    with pytest.raises(InvalidClientError):
        session_of(served, made | {"client_secret": "wrong"}, by_basic=True)


@pytest.mark.slow
def test_every_server_refuses_a_revoked_client_at_once(served: Served):
    made = add_client(served, "doomed")
    session = session_of(served, made, by_basic=True)
    with second_server(served) as other:
        servers = (served.url, other)

        def answers() -> list[int]:
            return [session.get(f"{url}/api/v3/form", timeout=30).status_code for url in servers for _ in range(10)]

        assert answers() == [200] * 20
        served.service.flask("users", "revoke", "doomed")
        assert answers() == [401] * 20
        for url in servers:
            credentials = (made["client_id"], made["client_secret"])
            grant = {"grant_type": "client_credentials"}
            refusal = requests.post(f"{url}/oauth2/token", data=grant, auth=credentials, timeout=30)
            assert (refusal.status_code, refusal.json()["error"]) == (401, "invalid_client")


@pytest.mark.slow
def test_new_secret_ends_the_tokens_of_the_former_one_on_every_server(served: Served):
    made = add_client(served, "renewed")
    session = session_of(served, made, by_basic=False)
    with second_server(served) as other:
        for url in (served.url, other):
            assert session.get(f"{url}/api/v3/form", timeout=30).status_code == 200
        renewed = json.loads(served.service.flask("users", "rotate", "renewed", "--oauth", "--json"))
        for url in (served.url, other):
            assert session.get(f"{url}/api/v3/form", timeout=30).status_code == 401
        again = session_of(served, renewed, by_basic=True)
        assert again.get(f"{other}/api/v3/form", timeout=30).status_code == 200


def statuses(servers: tuple[str, ...], headers: Callable[[], dict[str, str]]) -> set[int]:
    """The statuses of ten calls to each server. Each call has its own headers, since a WSSE nonce is accepted once."""
    return {
        requests.get(f"{server}/api/v2/form", headers=headers(), timeout=30).status_code
        for server in servers
        for _ in range(10)
    }


@pytest.mark.parametrize("end", ["revoke", pytest.param("rotate", marks=pytest.mark.slow)])
def test_every_server_refuses_revoked_token_and_wsse_secret_at_once(end: str, served: Served):
    name = f"both-{end}"
    made = json.loads(served.service.flask("users", "add", name, "--wsse", "--token", "--json"))

    def by_token() -> dict[str, str]:
        return {"Authorization": f"Bearer {made['token']}"}

    def by_wsse() -> dict[str, str]:
        return {"X-WSSE": wsse_header(name, made["secret"])}

    with second_server(served) as other:
        servers = (served.url, other)
        assert statuses(servers, by_token) == statuses(servers, by_wsse) == {200}
        as_json = ["--json"] if end == "rotate" else []
        answer = served.service.flask("users", end, name, *as_json)
        assert statuses(servers, by_token) == statuses(servers, by_wsse) == {401}
        if end == "rotate":
            made = json.loads(answer)
            assert statuses(servers, by_token) == statuses(servers, by_wsse) == {200}


def chunks(body: bytes) -> Iterator[bytes]:
    for start in range(0, len(body), 1000):
        yield body[start : start + 1000]


def test_chunked_bodies_are_read_up_to_64_kib(served: Served):
    made = add_client(served, "chunked")
    body = f"grant_type=client_credentials&client_id={made['client_id']}&client_secret={made['client_secret']}".encode()
    url = f"{served.url}/oauth2/token/"
    assert requests.post(url, data=chunks(body), headers=FORM, timeout=30).status_code == 200
    too_long = requests.post(url, data=chunks(body + b"&x=" + b"y" * 70_000), headers=FORM, timeout=30)
    assert (too_long.status_code, too_long.json()["error"]) == (413, "invalid_request")
    broken = requests.post(
        url, data=b"zz\r\n", headers=FORM | {"Transfer-Encoding": "chunked", "Content-Length": ""}, timeout=30
    )
    assert broken.status_code == 400

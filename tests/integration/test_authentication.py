"""Who may call the API: WSSE headers, bearer tokens, repetitions, and 401 before every other answer."""

import dataclasses
import logging
import re
from concurrent.futures import ThreadPoolExecutor

import pytest
from flask import Flask
from flask.testing import FlaskClient
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from wsse_header import wsse_header

from contactexport import make_backend
from contactexport.api.authentication import OPEN_PATHS
from contactexport.backend import Backend
from contactexport.db import user_repository
from contactexport.db.user_repository import Rights
from contactexport.errors import Unauthorized
from contactexport.secret_box import SecretBox
from contactexport.services.authenticate import authenticate
from contactexport.services.manage_users import NewCredentials, add_user

GETCHANGES = "/api/v2/contact/getchanges"
UNAUTHORIZED = {"replyCode": 1, "replyText": "Unauthorized", "data": ""}


@pytest.fixture
def anna(backend: Backend) -> NewCredentials:
    return add_user(backend, "anna", with_wsse=True, with_token=True)


def nonces(backend: Backend) -> int:
    with backend.database.transaction() as conn, conn.cursor() as cursor:
        cursor.execute("SELECT count(*) AS n FROM wsse_nonce")
        return cursor.fetchone()["n"]


def refused(backend: Backend, header: str | None, authorization: str | None = None) -> str:
    with pytest.raises(Unauthorized) as refusal:
        authenticate(backend, header, authorization)
    return str(refusal.value)


def test_a_header_is_accepted_once(backend: Backend, anna: NewCredentials):
    header = wsse_header("anna", anna.secret)
    assert authenticate(backend, header, None).name == "anna"
    assert "nonce used before" in refused(backend, header)


def test_a_second_server_knows_what_the_first_one_accepted(backend: Backend, anna: NewCredentials):
    second = make_backend(backend.settings)
    header = wsse_header("anna", anna.secret)
    assert authenticate(second, header, None).name == "anna"
    assert "nonce used before" in refused(backend, header)
    second.database.close()


def test_of_many_simultaneous_repetitions_one_is_accepted(backend: Backend, anna: NewCredentials):
    header = wsse_header("anna", anna.secret)

    def accepted(_: int) -> bool:
        try:
            return authenticate(backend, header, None).name == "anna"
        except Unauthorized:
            return False

    with ThreadPoolExecutor(8) as threads:
        assert sum(threads.map(accepted, range(16))) == 1


def test_the_same_nonce_with_another_time_is_another_call(backend: Backend, anna: NewCredentials):
    for seconds_ago in (0, 1):
        assert authenticate(backend, wsse_header("anna", anna.secret, nonce="n", seconds_ago=seconds_ago), None)


def test_the_same_nonce_and_time_of_another_user_is_another_call(backend: Backend, anna: NewCredentials):
    bert = add_user(backend, "bert", with_wsse=True, with_token=False)
    created = wsse_header("x", "x").rpartition("Created=")[2].strip('"')
    assert authenticate(backend, wsse_header("anna", anna.secret, nonce="n", created=created), None).name == "anna"
    assert authenticate(backend, wsse_header("bert", bert.secret, nonce="n", created=created), None).name == "bert"


def test_with_replay_off_the_same_header_may_come_again_and_nothing_is_stored(backend: Backend):
    shop = add_user(backend, "shop", with_wsse=True, with_token=False, rights=Rights(replay="off"))
    header = wsse_header("shop", shop.secret)
    assert [authenticate(backend, header, None).name for _ in range(2)] == ["shop", "shop"]
    assert nonces(backend) == 0


def test_strangers_store_nothing(backend: Backend, anna: NewCredentials):
    assert "unknown user or wrong secret" in refused(backend, wsse_header("anna", "guessed"))
    assert "unknown user or wrong secret" in refused(backend, wsse_header("nobody", "guessed"))
    assert "too far" in refused(backend, wsse_header("anna", anna.secret, seconds_ago=400))
    assert nonces(backend) == 0


@pytest.mark.parametrize("seconds_ago, accepted", [(290, True), (-290, True), (310, False), (-310, False)])
def test_created_may_be_300_seconds_off(seconds_ago: int, accepted: bool, backend: Backend, anna: NewCredentials):
    header = wsse_header("anna", anna.secret, seconds_ago=seconds_ago)
    if accepted:
        assert authenticate(backend, header, None).name == "anna"
    else:
        assert "too far" in refused(backend, header)


def test_the_window_is_a_setting(backend: Backend, anna: NewCredentials):
    wide = make_backend(dataclasses.replace(backend.settings, wsse_window=4000.0))
    assert authenticate(wide, wsse_header("anna", anna.secret, seconds_ago=3600), None).name == "anna"
    wide.database.close()


def test_nonces_are_forgotten_when_no_header_can_carry_them_any_more(backend: Backend, anna: NewCredentials):
    authenticate(backend, wsse_header("anna", anna.secret), None)
    for age, left in ((600, 1), (661, 0)):
        with backend.database.transaction() as conn, conn.cursor() as cursor:
            cursor.execute("UPDATE wsse_nonce SET seen_at = clock_timestamp() - make_interval(secs => %s)", (age,))
            user_repository.forget_old_nonces(conn, 300)
        assert nonces(backend) == left


def test_a_user_with_a_token_only_has_no_wsse(backend: Backend):
    add_user(backend, "cron", with_wsse=False, with_token=True)
    assert "unknown user or wrong secret" in refused(backend, wsse_header("cron", ""))


@pytest.mark.parametrize("scheme", ["Bearer ", "bearer ", "BEARER   "])
def test_the_scheme_may_be_written_in_either_case(scheme: str, backend: Backend, anna: NewCredentials):
    assert authenticate(backend, None, scheme + str(anna.token)).name == "anna"


@pytest.mark.parametrize(
    "value",
    [
        "",
        "Bearer",
        "Bearer ",
        "Basic YW5uYTp4",
        "{}",
        "Bearer {} x",
        "Bearer {}x",
        "Bearer ü",
        "Bearer \x00",
        "Bearer " + "x" * 9000,
    ],
)
def test_other_authorizations_are_refused(value: str, backend: Backend, anna: NewCredentials):
    refused(backend, None, value.format(anna.token))


def test_the_wsse_header_decides_when_both_are_sent(backend: Backend, anna: NewCredentials):
    refused(backend, wsse_header("anna", "wrong"), f"Bearer {anna.token}")


def test_the_log_says_why_and_holds_no_secret(backend: Backend, anna: NewCredentials, caplog: pytest.LogCaptureFixture):
    caplog.set_level(logging.DEBUG, "contactexport")
    refused(backend, wsse_header("anna", anna.secret, seconds_ago=400))
    refused(backend, wsse_header("an\u2028na", "x"))
    authenticate(backend, wsse_header("anna", anna.secret), f"Bearer {anna.token}")
    assert "of 'anna' is too far from" in caplog.text
    assert anna.secret not in caplog.text
    assert anna.token not in caplog.text


def test_either_header_name_and_the_token_open_the_api(client: FlaskClient, anna: NewCredentials):
    for headers in (
        {"X-WSSE": wsse_header("anna", anna.secret)},
        {"WSSE": wsse_header("anna", anna.secret)},
        {"Authorization": 'WSSE profile="UsernameToken"', "X-WSSE": wsse_header("anna", anna.secret)},
        {"Authorization": f"Bearer {anna.token}"},
    ):
        assert client.get("/api/v2/export/0", headers=headers).get_json()["replyText"] == "Invalid export ID"


def test_a_name_in_utf8_opens_the_api(client: FlaskClient, backend: Backend):
    zoe = add_user(backend, "Zoë", with_wsse=True, with_token=False)
    header = wsse_header("Zoë", zoe.secret).encode().decode("latin-1")
    assert client.get("/api/v2/export/0", headers={"X-WSSE": header}).status_code == 400
    header = wsse_header("Zoë", zoe.secret)
    assert client.get("/api/v2/export/0", headers={"X-WSSE": header}).status_code == 401


@pytest.mark.parametrize(
    "method, path, options",
    [
        ("POST", GETCHANGES, {"json": {}}),
        ("POST", GETCHANGES, {"data": "no json", "content_type": "text/plain"}),
        ("POST", GETCHANGES, {"data": b"x" * 70_000, "content_type": "application/json"}),
        ("GET", GETCHANGES, {}),
        ("DELETE", GETCHANGES, {}),
        ("OPTIONS", GETCHANGES, {}),
        ("GET", "/api/v2/export/1", {}),
        ("GET", "/api/v2/export/1/data", {}),
        ("GET", "/api/v2/no/such/path", {}),
        ("GET", "/api", {}),
        ("GET", "/api/", {}),
        ("GET", "/", {"environ_overrides": {"PATH_INFO": "//api/v2/export/1"}}),
        ("GET", "/%61pi/v2/export/1", {}),
    ],
)
def test_401_comes_before_every_other_answer(client: FlaskClient, method: str, path: str, options: dict[str, object]):
    response = client.open(path, method=method, **options)
    assert (response.status_code, response.get_json()) == (401, UNAUTHORIZED)
    assert response.headers["WWW-Authenticate"] == 'WSSE profile="UsernameToken", Bearer'


def test_no_route_of_the_api_is_open_but_its_description(app: Flask, client: FlaskClient):
    rules = [rule for rule in app.url_map.iter_rules() if rule.rule.startswith("/api") and rule.rule not in OPEN_PATHS]
    assert {rule.rule.split("/")[2] for rule in rules} == {"v2", "v3"}
    for rule in rules:
        path = re.sub("<[^>]*>", "1", rule.rule)
        for method in rule.methods or ():
            assert client.open(path, method=method).status_code == 401, (method, path)


def test_a_lost_key_is_a_clear_error_in_the_log_and_no_crash(
    app: Flask, client: FlaskClient, backend: Backend, anna: NewCredentials, caplog: pytest.LogCaptureFixture
):
    other_key = dataclasses.replace(backend, secrets=SecretBox("another key", backend.settings.data_dir))
    app.extensions["contactexport"] = other_key
    response = client.get("/api/v2/export/0", headers={"X-WSSE": wsse_header("anna", anna.secret)})
    assert (response.status_code, response.get_json()["replyCode"]) == (503, 1)
    assert "call not checked: A stored secret cannot be read: CONTACTEXPORT_SECRET_KEY was changed" in caplog.text
    assert "Traceback" not in caplog.text
    assert client.get("/api/v2/export/0", headers={"X-WSSE": wsse_header("nobody", "x")}).status_code == 401
    assert client.get("/api/v2/export/0", headers={"Authorization": f"Bearer {anna.token}"}).status_code == 400


@pytest.mark.parametrize("path", ["/healthz", "/readyz"])
def test_health_is_open(client: FlaskClient, path: str):
    assert client.get(path).status_code == 200


@hypothesis_settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(
    header=st.sampled_from(["X-WSSE", "WSSE", "Authorization"]),
    value=st.text(st.characters(max_codepoint=255, exclude_characters="\r\n"), max_size=200),
    prefix=st.sampled_from(["", "Bearer ", 'UsernameToken Username="anna", PasswordDigest="']),
)
def test_no_header_is_a_500(client: FlaskClient, header: str, value: str, prefix: str):
    assert client.get("/api/v2/export/1", headers={header: prefix + value}).status_code == 401

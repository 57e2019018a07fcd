"""Who may call the API: WSSE headers, bearer tokens, replays, and 401 before every other answer."""

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

from contactexport import make_context
from contactexport.api.authentication import OPEN_PATHS
from contactexport.context import Context
from contactexport.errors import Unauthorized
from contactexport.secrets.box import SecretBox
from contactexport.users import store as user_store
from contactexport.users.authenticate import authenticate
from contactexport.users.manage import NewCredentials, add_user
from contactexport.users.store import Rights
from tests.support.wsse_header import wsse_header

GETCHANGES = "/api/v2/contact/getchanges"
UNAUTHORIZED = {"replyCode": 1, "replyText": "Unauthorized", "data": ""}


@pytest.fixture
def anna(context: Context) -> NewCredentials:
    return add_user(context, "anna", with_wsse=True, with_token=True)


def nonces(context: Context) -> int:
    with context.database.transaction() as conn, conn.cursor() as cursor:
        cursor.execute("SELECT count(*) AS n FROM wsse_nonce")
        return cursor.fetchone()["n"]


def refused(context: Context, header: str | None, authorization: str | None = None) -> str:
    with pytest.raises(Unauthorized) as refusal:
        authenticate(context, header, authorization)
    return str(refusal.value)


def test_header_is_accepted_once(context: Context, anna: NewCredentials):
    header = wsse_header("anna", anna.secret)
    assert authenticate(context, header, None).name == "anna"
    assert "nonce used before" in refused(context, header)


def test_second_server_refuses_a_header_that_the_first_accepted(context: Context, anna: NewCredentials):
    second = make_context(context.settings)
    header = wsse_header("anna", anna.secret)
    assert authenticate(second, header, None).name == "anna"
    assert "nonce used before" in refused(context, header)
    second.database.close()


def test_one_of_many_simultaneous_replays_is_accepted(context: Context, anna: NewCredentials):
    header = wsse_header("anna", anna.secret)

    def accepted(_: int) -> bool:
        try:
            return authenticate(context, header, None).name == "anna"
        except Unauthorized:
            return False

    with ThreadPoolExecutor(8) as threads:
        assert sum(threads.map(accepted, range(16))) == 1


def test_same_nonce_with_another_time_is_another_call(context: Context, anna: NewCredentials):
    for seconds_ago in (0, 1):
        assert authenticate(context, wsse_header("anna", anna.secret, nonce="n", seconds_ago=seconds_ago), None)


def test_same_nonce_and_time_of_another_user_is_another_call(context: Context, anna: NewCredentials):
    bert = add_user(context, "bert", with_wsse=True, with_token=False)
    created = wsse_header("x", "x").rpartition("Created=")[2].strip('"')
    assert authenticate(context, wsse_header("anna", anna.secret, nonce="n", created=created), None).name == "anna"
    assert authenticate(context, wsse_header("bert", bert.secret, nonce="n", created=created), None).name == "bert"


def test_replay_off_accepts_the_same_header_again_and_stores_nothing(context: Context):
    shop = add_user(context, "shop", with_wsse=True, with_token=False, rights=Rights(replay="off"))
    header = wsse_header("shop", shop.secret)
    assert [authenticate(context, header, None).name for _ in range(2)] == ["shop", "shop"]
    assert nonces(context) == 0


def test_refused_headers_store_nothing(context: Context, anna: NewCredentials):
    assert "unknown user or wrong secret" in refused(context, wsse_header("anna", "guessed"))
    assert "unknown user or wrong secret" in refused(context, wsse_header("nobody", "guessed"))
    assert "too far" in refused(context, wsse_header("anna", anna.secret, seconds_ago=400))
    assert nonces(context) == 0


@pytest.mark.parametrize("seconds_ago, accepted", [(290, True), (-290, True), (310, False), (-310, False)])
def test_created_may_be_300_seconds_off(seconds_ago: int, accepted: bool, context: Context, anna: NewCredentials):
    header = wsse_header("anna", anna.secret, seconds_ago=seconds_ago)
    if accepted:
        assert authenticate(context, header, None).name == "anna"
    else:
        assert "too far" in refused(context, header)


def test_wsse_window_is_a_setting(context: Context, anna: NewCredentials):
    wide = make_context(dataclasses.replace(context.settings, wsse_window=4000.0))
    assert authenticate(wide, wsse_header("anna", anna.secret, seconds_ago=3600), None).name == "anna"
    wide.database.close()


def test_nonces_are_deleted_when_no_valid_header_can_carry_them(context: Context, anna: NewCredentials):
    authenticate(context, wsse_header("anna", anna.secret), None)
    for age, left in ((600, 1), (661, 0)):
        with context.database.transaction() as conn, conn.cursor() as cursor:
            cursor.execute("UPDATE wsse_nonce SET seen_at = clock_timestamp() - make_interval(secs => %s)", (age,))
            user_store.forget_old_nonces(conn, 300)
        assert nonces(context) == left


def test_user_with_only_a_token_cannot_use_wsse(context: Context):
    add_user(context, "cron", with_wsse=False, with_token=True)
    assert "unknown user or wrong secret" in refused(context, wsse_header("cron", ""))


@pytest.mark.parametrize("scheme", ["Bearer ", "bearer ", "BEARER   "])
def test_bearer_scheme_ignores_case(scheme: str, context: Context, anna: NewCredentials):
    assert authenticate(context, None, scheme + str(anna.token)).name == "anna"


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
def test_other_authorizations_are_refused(value: str, context: Context, anna: NewCredentials):
    refused(context, None, value.format(anna.token))


def test_wsse_header_decides_when_both_are_sent(context: Context, anna: NewCredentials):
    refused(context, wsse_header("anna", "wrong"), f"Bearer {anna.token}")


def test_log_says_why_and_holds_no_secret(context: Context, anna: NewCredentials, caplog: pytest.LogCaptureFixture):
    caplog.set_level(logging.DEBUG, "contactexport")
    refused(context, wsse_header("anna", anna.secret, seconds_ago=400))
    refused(context, wsse_header("an\u2028na", "x"))
    authenticate(context, wsse_header("anna", anna.secret), f"Bearer {anna.token}")
    assert "of 'anna' is too far from" in caplog.text
    assert anna.secret not in caplog.text
    assert anna.token not in caplog.text


def test_both_header_names_and_the_token_open_the_api(client: FlaskClient, anna: NewCredentials):
    for headers in (
        {"X-WSSE": wsse_header("anna", anna.secret)},
        {"WSSE": wsse_header("anna", anna.secret)},
        {"Authorization": 'WSSE profile="UsernameToken"', "X-WSSE": wsse_header("anna", anna.secret)},
        {"Authorization": f"Bearer {anna.token}"},
    ):
        assert client.get("/api/v2/export/0", headers=headers).get_json()["replyText"] == "Invalid export ID"


def test_user_name_is_read_as_utf8(client: FlaskClient, context: Context):
    zoe = add_user(context, "Zoë", with_wsse=True, with_token=False)
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


def test_only_the_description_of_the_api_is_open(app: Flask, client: FlaskClient):
    rules = [rule for rule in app.url_map.iter_rules() if rule.rule.startswith("/api") and rule.rule not in OPEN_PATHS]
    assert {rule.rule.split("/")[2] for rule in rules} == {"v2", "v3"}
    for rule in rules:
        path = re.sub("<[^>]*>", "1", rule.rule)
        for method in rule.methods or ():
            assert client.open(path, method=method).status_code == 401, (method, path)


def test_lost_key_is_503_with_the_reason_in_the_log(
    app: Flask, client: FlaskClient, context: Context, anna: NewCredentials, caplog: pytest.LogCaptureFixture
):
    other_key = dataclasses.replace(context, secrets=SecretBox("another key", context.settings.data_dir))
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
def test_no_header_ends_in_a_500(client: FlaskClient, header: str, value: str, prefix: str):
    assert client.get("/api/v2/export/1", headers={header: prefix + value}).status_code == 401

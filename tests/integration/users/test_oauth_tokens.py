"""POST /oauth2/token and /oauth2/revoke: who gets a token, what it opens, and how other requests are refused."""

import dataclasses
import gzip
import io
import json
import logging
import re
from concurrent.futures import ThreadPoolExecutor

import pytest
from flask.testing import FlaskClient
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from contactexport import make_context
from contactexport.context import Context
from contactexport.errors import DatabaseUnavailable, Unauthorized
from contactexport.exports.sweep import sweep
from contactexport.users import manage, oauth, oauth_store
from contactexport.users.authenticate import authenticate
from contactexport.users.client_rules import COMPATIBLE
from contactexport.users.manage import NewCredentials
from tests.support.exporting import execute, other_session
from tests.support.oauth_clients import GRANT, TOKEN, access_token, add_client, basic, bearer, in_form

REVOKE = "/oauth2/revoke"
FORM = "application/x-www-form-urlencoded"


@pytest.fixture
def sync(context: Context) -> NewCredentials:
    return add_client(context, "sync", team="shop", compatible=True, operator=True, requests_per_minute=77)


def refused(answer, status: int, error: str) -> str:
    """Checks that an answer is an error as in RFC 6749, 5.2, and returns its description."""
    assert (answer.status_code, answer.get_json()["error"]) == (status, error), answer.text
    assert answer.content_type == "application/json"
    assert (answer.headers["Cache-Control"], answer.headers["Pragma"]) == ("no-store", "no-cache")
    assert set(answer.get_json()) <= {"error", "error_description"}
    description = answer.get_json().get("error_description", "")
    assert re.fullmatch(r"[\x20-\x21\x23-\x5b\x5d-\x7e]*", description)
    assert answer.headers.get("WWW-Authenticate") == ('Basic realm="contactexport"' if status == 401 else None)
    return description


@pytest.mark.parametrize("path", [TOKEN, f"{TOKEN}/"])
def test_client_gets_a_token_by_basic_and_by_form(path: str, client: FlaskClient, sync: NewCredentials):
    by_basic = client.post(path, data=GRANT, headers=basic(sync.client_id, sync.client_secret))
    by_form = client.post(path, data=in_form(sync))
    for answer in (by_basic, by_form):
        assert (answer.status_code, answer.content_type) == (200, "application/json")
        assert (answer.headers["Cache-Control"], answer.headers["Pragma"]) == ("no-store", "no-cache")
        assert answer.get_json().keys() == {"access_token", "token_type", "expires_in"}
        assert (answer.get_json()["token_type"], answer.get_json()["expires_in"]) == ("Bearer", 3600)
        assert re.fullmatch(r"cxo_[\w-]{43}", answer.get_json()["access_token"])
    assert by_basic.get_json()["access_token"] != by_form.get_json()["access_token"]


def test_token_opens_both_versions_of_the_api(client: FlaskClient, sync: NewCredentials):
    token = access_token(client, sync)
    for version in ("v2", "v3"):
        assert client.get(f"/api/{version}/form", headers=bearer(token)).status_code == 200
    limit = client.get("/api/v3/form", headers=bearer(token)).headers["X-RateLimit-Limit"]
    assert limit == "77"


def test_token_has_all_rights_of_its_user(client: FlaskClient, context: Context, sync: NewCredentials):
    token = access_token(client, sync)
    caller = authenticate(context, None, f"Bearer {token}")
    assert (caller.name, caller.team, caller.operator, caller.rules) == ("sync", "shop", True, COMPATIBLE)
    assert caller.requests_per_minute == 77
    manage.set_user(context, "sync", None, {"team": "other"})
    assert authenticate(context, None, f"Bearer {token}").team == "other"


def test_v3_asks_for_bearer_without_credentials(client: FlaskClient):
    answer = client.get("/api/v3/form")
    assert (answer.status_code, answer.headers["WWW-Authenticate"]) == (401, "Bearer")


def test_only_hashes_of_tokens_and_secrets_are_stored(client: FlaskClient, context: Context, sync: NewCredentials):
    token = access_token(client, sync)
    (stored,) = execute(context, "SELECT t::text || u::text AS row FROM access_token AS t, api_user AS u")
    for secret in (token, str(sync.client_secret)):
        assert secret not in stored["row"]
        assert secret.encode().hex() not in stored["row"]


def test_setting_decides_how_long_a_token_lasts(client: FlaskClient, context: Context, sync: NewCredentials):
    settings = dataclasses.replace(context.settings, oauth_token_seconds=90)
    client.application.extensions["contactexport"] = dataclasses.replace(context, settings=settings)
    assert client.post(TOKEN, data=in_form(sync)).get_json()["expires_in"] == 90
    (row,) = execute(
        context, "SELECT extract(epoch FROM expires_at - clock_timestamp())::float8 AS s FROM access_token"
    )
    assert 60 < row["s"] <= 90


def test_expired_token_is_refused_and_swept(client: FlaskClient, context: Context, sync: NewCredentials):
    old, new = access_token(client, sync), access_token(client, sync)
    execute(
        context,
        "UPDATE access_token SET expires_at = clock_timestamp() WHERE token_hash = sha256(convert_to(%s, 'UTF8'))",
        (old,),
    )
    assert client.get("/api/v3/form", headers=bearer(old)).status_code == 401
    sweep(context)
    assert execute(context, "SELECT count(*) AS n FROM access_token")[0]["n"] == 1
    assert client.get("/api/v3/form", headers=bearer(new)).status_code == 200


def test_revoking_a_user_ends_its_client_and_tokens(client: FlaskClient, context: Context, sync: NewCredentials):
    token = access_token(client, sync)
    manage.revoke_user(context, "sync")
    assert client.get("/api/v3/form", headers=bearer(token)).status_code == 401
    refused(client.post(TOKEN, data=in_form(sync)), 401, "invalid_client")
    again = add_client(context, "sync")
    assert client.get("/api/v3/form", headers=bearer(token)).status_code == 401
    refused(client.post(TOKEN, data=in_form(sync)), 401, "invalid_client")
    assert access_token(client, again)


def test_new_secret_ends_the_former_one_and_its_tokens(client: FlaskClient, context: Context, sync: NewCredentials):
    token = access_token(client, sync)
    made = manage.rotate_user(context, "sync", with_wsse=False, with_token=False, with_oauth=True)
    assert made.client_id == sync.client_id
    assert client.get("/api/v3/form", headers=bearer(token)).status_code == 401
    refused(client.post(TOKEN, data=in_form(sync)), 401, "invalid_client")
    assert client.get("/api/v3/form", headers=bearer(access_token(client, made))).status_code == 200


def test_rotating_another_credential_keeps_the_client(client: FlaskClient, context: Context, sync: NewCredentials):
    token = access_token(client, sync)
    manage.rotate_user(context, "sync", with_wsse=False, with_token=True)
    assert client.get("/api/v3/form", headers=bearer(token)).status_code == 200
    assert access_token(client, sync)


def test_token_is_not_stored_after_its_client_ended(context: Context, sync: NewCredentials):
    known = oauth.authenticate_client(context, str(sync.client_id), str(sync.client_secret))
    manage.rotate_user(context, "sync", with_wsse=False, with_token=False, with_oauth=True)
    with pytest.raises(Unauthorized, match="meanwhile"):
        oauth.store_access_token(context, known, oauth.new_access_token())


@pytest.mark.parametrize("end", ["revoke", "rotate"])
def test_token_stored_while_its_client_ends_does_not_outlive_it(end: str, context: Context, sync: NewCredentials):
    """The statement waits for the other transaction, and then sees its changes."""
    known = oauth.authenticate_client(context, str(sync.client_id), str(sync.client_secret))
    with ThreadPoolExecutor(1) as thread:
        with other_session(context, autocommit=False) as ending, ending.cursor() as cursor:
            if end == "revoke":
                cursor.execute(
                    "UPDATE api_user SET revoked_at = now(), client_id = NULL, client_secret_hash = NULL"
                    " WHERE name = 'sync'"
                )
            else:
                cursor.execute("UPDATE api_user SET client_secret_hash = '\\x00' WHERE name = 'sync'")
            cursor.execute("DELETE FROM access_token")
            stored = thread.submit(oauth.store_access_token, context, known, "cxo_late")
            while not execute(context, "SELECT pid FROM pg_stat_activity WHERE wait_event_type = 'Lock'"):
                assert not stored.done()
            ending.commit()
        with pytest.raises(Unauthorized):
            stored.result()
    assert execute(context, "SELECT user_id FROM access_token") == []


@pytest.mark.parametrize(
    "client_id, client_secret",
    [
        ("{id}", "wrong"),
        ("{id}", ""),
        ("{id}x", "{secret}"),
        ("", "{secret}"),
        ("cxc_" + "0" * 32, "{secret}"),
        ("sync", "{secret}"),
        ("{id}\0", "{secret}"),
        ("{secret}", "{id}"),
        ("ü", "ü"),
        ("x" * 5000, "x"),
    ],
)
def test_wrong_credentials_are_invalid_client(
    client_id: str, client_secret: str, client: FlaskClient, sync: NewCredentials, caplog: pytest.LogCaptureFixture
):
    caplog.set_level(logging.DEBUG)
    client_id = client_id.format(id=sync.client_id, secret=sync.client_secret)
    client_secret = client_secret.format(id=sync.client_id, secret=sync.client_secret)
    described = [
        refused(client.post(TOKEN, data=GRANT, headers=basic(client_id, client_secret)), 401, "invalid_client"),
        refused(
            client.post(TOKEN, data=GRANT | {"client_id": client_id, "client_secret": client_secret}),
            401,
            "invalid_client",
        ),
    ]
    assert described == ["Unauthorized", "Unauthorized"]
    assert str(sync.client_secret) not in caplog.text


def test_encoded_credentials_are_decoded(client: FlaskClient, sync: NewCredentials):
    def encoded(text: str | None) -> str:
        return "".join(f"%{ord(sign):02x}" for sign in str(text))

    headers = basic(encoded(sync.client_id), encoded(sync.client_secret))
    assert client.post(TOKEN, data=GRANT, headers=headers).status_code == 200


@pytest.mark.parametrize(
    "header",
    [
        "",
        "Basic",
        "Basic ",
        "Basic \xa0",
        "Basic !!!!",
        "Basic YQ",
        "Basic YQ==",
        "Basic /w==",
        "Basic JWZmOmE=",
        "Basic \xfc\xfc\xfc\xfc",
        "Basic Og==",
        "Bearer x",
        "Negotiate",
        "Basic a b",
    ],
)
def test_header_other_than_basic_is_invalid_client(header: str, client: FlaskClient, sync: NewCredentials):
    answer = client.post(TOKEN, data=GRANT, environ_overrides={"HTTP_AUTHORIZATION": header})
    refused(answer, 401, "invalid_client")


def test_missing_credentials_are_invalid_client(client: FlaskClient, sync: NewCredentials):
    refused(client.post(TOKEN, data=GRANT), 401, "invalid_client")
    refused(client.post(TOKEN, data=GRANT | {"client_id": str(sync.client_id)}), 401, "invalid_client")
    refused(client.post(TOKEN, data=GRANT | {"client_secret": str(sync.client_secret)}), 401, "invalid_client")


def test_credentials_in_two_places_are_refused(client: FlaskClient, sync: NewCredentials):
    headers = basic(sync.client_id, sync.client_secret)
    assert "one expected" in refused(client.post(TOKEN, data=in_form(sync), headers=headers), 400, "invalid_request")
    other = GRANT | {"client_id": "cxc_other"}
    assert "one expected" in refused(client.post(TOKEN, data=other, headers=headers), 400, "invalid_request")
    same = GRANT | {"client_id": str(sync.client_id)}
    assert client.post(TOKEN, data=same, headers=headers).status_code == 200


@pytest.mark.parametrize(
    "body, error, description",
    [
        ("", "invalid_request", "grant_type"),
        ("grant_type=", "invalid_request", "grant_type"),
        ("grant_type=client_credentials&grant_type=client_credentials", "invalid_request", "grant_type"),
        ("grant_type=client_credentials&x=1&x=2", "invalid_request", "sent twice: x"),
        ('grant_type=client_credentials&"%C3%BC=1&"%C3%BC=2', "invalid_request", "sent twice: ??"),
        ("grant_type=client_credentials" + "&a=b" * 60, "invalid_request", "50"),
        ("grant_type=%ff", "invalid_request", "UTF-8"),
        (b"grant_type=\xff", "invalid_request", "UTF-8"),
        ("grant_type=password", "unsupported_grant_type", ""),
        ("grant_type=client_credentials%00", "unsupported_grant_type", ""),
        ('{"grant_type": "client_credentials"}', "invalid_request", "grant_type"),
        ("grant_type=client_credentials&scope=everything", "invalid_scope", "scope"),
    ],
)
def test_malformed_token_request_is_400(
    body: str, error: str, description: str, client: FlaskClient, sync: NewCredentials
):
    headers = basic(sync.client_id, sync.client_secret)
    answer = client.post(TOKEN, data=body, headers=headers, content_type=FORM)
    assert description in refused(answer, 400, error)


@pytest.mark.parametrize("body", ["grant_type=client_credentials&scope=", "&grant_type=client_credentials&&unknown=1&"])
def test_empty_and_unknown_parameters_are_ignored(body: str, client: FlaskClient, sync: NewCredentials):
    headers = basic(sync.client_id, sync.client_secret)
    content_type = f"{FORM.upper()}; charset=UTF-8"
    assert client.post(TOKEN, data=body, headers=headers, content_type=content_type).status_code == 200


@pytest.mark.parametrize("content_type", [None, "", "application/json", "multipart/form-data", "text/plain", "ü", ";"])
def test_other_content_type_is_refused(content_type: str | None, client: FlaskClient, sync: NewCredentials):
    body = "&".join(f"{name}={value}" for name, value in in_form(sync).items())
    answer = client.post(TOKEN, input_stream=io.BytesIO(body.encode()), content_type=content_type)
    assert f"{FORM} expected" in refused(answer, 400, "invalid_request")


def test_parameters_in_the_url_are_ignored(client: FlaskClient, sync: NewCredentials):
    answer = client.post(TOKEN, query_string=in_form(sync), data={"unknown": "1"})
    refused(answer, 400, "invalid_request")
    answer = client.post(TOKEN, query_string=in_form(sync), data=GRANT)
    refused(answer, 401, "invalid_client")


def test_missing_body_is_refused(client: FlaskClient):
    refused(client.post(TOKEN), 400, "invalid_request")


def test_body_above_64_kib_is_413(client: FlaskClient, sync: NewCredentials):
    long = in_form(sync) | {"x": "y" * 65536}
    refused(client.post(TOKEN, data=long), 413, "invalid_request")
    packed = gzip.compress("&".join(f"{name}={value}" for name, value in long.items()).encode())
    answer = client.post(TOKEN, data=packed, content_type=FORM, headers={"Content-Encoding": "gzip"})
    refused(answer, 413, "invalid_request")


def test_chunked_body_is_read(client: FlaskClient, sync: NewCredentials):
    body = "&".join(f"{name}={value}" for name, value in in_form(sync).items()).encode()
    for sent, status in ((body, 200), (body + b"&x=" + b"y" * 65536, 413)):
        answer = client.post(
            TOKEN,
            content_type=FORM,
            headers={"Transfer-Encoding": "chunked"},
            environ_overrides={"wsgi.input": io.BytesIO(sent), "wsgi.input_terminated": True},
        )
        assert answer.status_code == status, answer.text


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "OPTIONS"])
def test_other_methods_are_405(method: str, client: FlaskClient):
    answer = client.open(TOKEN, method=method)
    assert (answer.status_code, answer.headers["Allow"]) == (405, "POST")


@hypothesis_settings(max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    body=st.binary(max_size=200),
    header=st.none() | st.text(st.characters(max_codepoint=255), max_size=60),
    of=st.data(),
)
def test_no_request_ends_in_a_500(client: FlaskClient, body: bytes, header: str | None, of):
    prefix = of.draw(st.sampled_from([b"", b"grant_type=client_credentials&", b"token=x&"]))
    environ = {} if header is None else {"HTTP_AUTHORIZATION": of.draw(st.sampled_from(["", "Basic "])) + header}
    path = of.draw(st.sampled_from([TOKEN, REVOKE]))
    answer = client.post(path, data=prefix + body, content_type=FORM, environ_overrides=environ)
    assert answer.status_code in {400, 401}
    refused(answer, answer.status_code, answer.get_json()["error"])


def test_token_requests_count_as_requests_of_the_user(client: FlaskClient, context: Context):
    busy = add_client(context, "busy", requests_per_minute=2)
    token = access_token(client, busy)
    assert client.get("/api/v3/form", headers=bearer(token)).headers["X-RateLimit-Remaining"] in {"0", "1"}
    answers = [client.post(TOKEN, data=in_form(busy)) for _ in range(5)]  # a new minute may begin meanwhile
    refusals = [answer for answer in answers if answer.status_code == 429]
    assert refusals
    for answer in refusals:
        assert refused(answer, 429, "temporarily_unavailable") == "More than 2 requests in a minute"
        assert int(answer.headers["Retry-After"]) >= 1


def test_failed_requests_do_not_count(client: FlaskClient, context: Context):
    busy = add_client(context, "busy", requests_per_minute=1)
    for _ in range(5):
        refused(client.post(TOKEN, data=in_form(busy) | {"client_secret": "guessed"}), 401, "invalid_client")
    assert access_token(client, busy)


def test_missing_database_is_503(
    client: FlaskClient, context: Context, sync: NewCredentials, monkeypatch: pytest.MonkeyPatch
):
    nowhere = make_context(dataclasses.replace(context.settings, database_url="postgresql://root@127.0.0.1:1/none"))
    with pytest.raises(DatabaseUnavailable), nowhere.database.autocommit():
        pass
    client.application.extensions["contactexport"] = nowhere
    refused(client.post(TOKEN, data=in_form(sync)), 503, "temporarily_unavailable")


def test_internal_error_is_500_and_leaks_nothing(
    client: FlaskClient, sync: NewCredentials, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    def fail(*_arguments):
        raise RuntimeError("inside")

    monkeypatch.setattr(oauth_store, "add_access_token", fail)
    assert refused(client.post(TOKEN, data=in_form(sync)), 500, "server_error") == "Internal error"
    assert "RuntimeError: inside" in caplog.text


def test_log_notes_tokens_and_refusals_without_secrets(
    client: FlaskClient, sync: NewCredentials, caplog: pytest.LogCaptureFixture
):
    caplog.set_level(logging.DEBUG)
    refused(client.post(TOKEN, data=in_form(sync) | {"client_secret": "guessed"}), 401, "invalid_client")
    token = access_token(client, sync)
    client.post(REVOKE, data=in_form(sync) | {"token": token})
    events = [json.loads(one.message) for one in caplog.records if one.name == "contactexport.audit"]
    assert all(event.pop("request_id") for event in events)
    issued = {"event": "token issued", "user": "sync", "client": sync.client_id, "seconds": 3600}
    assert issued in events
    assert {"event": "token revoked", "user": "sync", "client": sync.client_id} in events
    requests = [(one.get("user"), one["path"], one["http"]) for one in events if one["event"] == "request"]
    assert requests == [(None, TOKEN, 401), ("sync", TOKEN, 200), ("sync", REVOKE, 200)]
    assert "client refused: wrong client secret of 'sync'" in caplog.text
    assert token not in caplog.text
    assert str(sync.client_secret) not in caplog.text


def test_client_revokes_its_own_token(client: FlaskClient, sync: NewCredentials):
    ended, kept = access_token(client, sync), access_token(client, sync)
    headers = basic(sync.client_id, sync.client_secret)
    for hint in ({}, {"token_type_hint": "access_token"}, {"token_type_hint": "unknown"}):
        answer = client.post(f"{REVOKE}/", data={"token": ended} | hint, headers=headers)
        assert (answer.status_code, answer.get_json()) == (200, {})
    assert client.get("/api/v3/form", headers=bearer(ended)).status_code == 401
    assert client.get("/api/v3/form", headers=bearer(kept)).status_code == 200


def test_client_cannot_revoke_tokens_of_others(client: FlaskClient, context: Context, sync: NewCredentials):
    other = add_client(context, "other")
    token = access_token(client, other)
    of_a_user = str(manage.add_user(context, "anna", with_wsse=False, with_token=True).token)
    headers = basic(sync.client_id, sync.client_secret)
    for sent in (token, of_a_user, "unknown"):
        assert client.post(REVOKE, data={"token": sent}, headers=headers).status_code == 200
    for kept in (token, of_a_user):
        assert client.get("/api/v3/form", headers=bearer(kept)).status_code == 200


def test_revoking_a_token_needs_credentials_and_the_token(client: FlaskClient, sync: NewCredentials):
    token = access_token(client, sync)
    refused(client.post(REVOKE, data={"token": token}), 401, "invalid_client")
    refused(client.post(REVOKE, data={"token": token}, headers=bearer(token)), 401, "invalid_client")
    headers = basic(sync.client_id, sync.client_secret)
    assert "token" in refused(client.post(REVOKE, data={"x": "y"}, headers=headers), 400, "invalid_request")
    assert client.get("/api/v3/form", headers=bearer(token)).status_code == 200

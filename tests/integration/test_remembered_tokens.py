"""A process remembers whose a token was, and saves a round trip by it; what has changed since counts all the same."""

import dataclasses

import pytest
from exporting import execute
from flask.testing import FlaskClient
from wsse_header import wsse_header

from contactexport.backend import Backend
from contactexport.db import user_repository
from contactexport.services import authenticate, manage_users

GETCHANGES = "/api/v2/contact/getchanges"
BODY = {
    "distribution_method": "local",
    "time_range": ["2012-02-09", "2012-04-02"],
    "origin": "form",
    "origin_id": "123",
    "contact_fields": ["1", "3"],
}
REQUESTS = {
    "POST": {"method": "POST", "path": GETCHANGES, "json": BODY | {"language": "de"}},
    "the same setting again": {"method": "POST", "path": GETCHANGES, "json": BODY},
    "invalid body": {"method": "POST", "path": GETCHANGES, "json": BODY | {"origin_id": "x"}},
    "no JSON": {"method": "POST", "path": GETCHANGES, "data": "{"},
    "another media type": {"method": "POST", "path": GETCHANGES, "data": "x", "content_type": "text/plain"},
    "body too long": {"method": "POST", "path": GETCHANGES, "data": b" " * 70_000},
    "status": {"path": "/api/v2/export/1"},
    "no such export": {"path": "/api/v2/export/999"},
    "no id": {"path": "/api/v2/export/x"},
}
ENDED = {
    "revoked": "UPDATE api_user SET revoked_at = now(), token_hash = NULL WHERE name = 'anna'",
    "revoked, and the hash has stayed": "UPDATE api_user SET revoked_at = now() WHERE name = 'anna'",
    "rotated": "UPDATE api_user SET token_hash = sha256('another') WHERE name = 'anna'",
    "expired": "UPDATE api_user SET token_expires_at = clock_timestamp() WHERE name = 'anna'",
    "deleted": "DELETE FROM api_user WHERE name = 'anna'",
}


@pytest.fixture
def anna(client: FlaskClient, backend: Backend) -> FlaskClient:
    """A client whose token the process remembers and whose permits last; her export 1 is accepted."""
    token = manage_users.add_user(backend, "anna", with_wsse=False, with_token=True).token
    client.environ_base["HTTP_AUTHORIZATION"] = f"Bearer {token}"
    assert client.post(GETCHANGES, json=BODY).json["data"] == {"id": 1}
    backend.permits.keep("anna", 1000, 60)
    return client


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Grows by one whenever the database is asked whose a token is before anything else."""
    told: list[int] = []
    find = user_repository.find_token_user
    monkeypatch.setattr(user_repository, "find_token_user", lambda *sent: (told.append(1), find(*sent))[1])
    return told


def exports(backend: Backend) -> int:
    return execute(backend, "SELECT count(*) AS n FROM export")[0]["n"]


def test_a_token_that_is_remembered_takes_no_round_trip_of_its_own(anna: FlaskClient, asked: list[int]):
    assert anna.open(**REQUESTS["POST"]).status_code == 200
    assert anna.open(**REQUESTS["status"]).json["data"]["id"] == "1"
    assert asked == []


@pytest.mark.parametrize("ending", ENDED)
@pytest.mark.parametrize("request_", REQUESTS)
def test_a_token_that_another_process_has_ended_is_refused_at_the_next_request(
    anna: FlaskClient, backend: Backend, ending: str, request_: str
):
    execute(backend, ENDED[ending])
    answer = anna.open(**REQUESTS[request_])
    assert (answer.status_code, answer.json["replyText"]) == (401, "Unauthorized")
    assert exports(backend) == 1


@pytest.mark.parametrize("request_", REQUESTS)
def test_what_is_refused_is_refused_as_without_memory(anna: FlaskClient, backend: Backend, request_: str):
    remembered = anna.open(**REQUESTS[request_])
    execute(backend, "DELETE FROM export WHERE id > 1")
    backend.tokens.forget(authenticate.token_hash(anna.environ_base["HTTP_AUTHORIZATION"].removeprefix("Bearer ")))
    asked_first = anna.open(**REQUESTS[request_])
    assert (remembered.status_code, remembered.json["replyText"]) == (
        asked_first.status_code,
        asked_first.json["replyText"],
    )


def test_a_token_expires_while_it_is_remembered(anna: FlaskClient, backend: Backend):
    execute(backend, "UPDATE api_user SET token_expires_at = clock_timestamp() + interval '1 hour'")
    assert anna.open(**REQUESTS["status"]).status_code == 200
    execute(backend, "UPDATE api_user SET token_expires_at = clock_timestamp() - interval '1 microsecond'")
    assert anna.open(**REQUESTS["status"]).status_code == 401


def test_the_former_token_of_a_name_that_is_used_again_is_refused(anna: FlaskClient, backend: Backend):
    manage_users.revoke_user(backend, "anna")
    new = manage_users.add_user(backend, "anna", with_wsse=False, with_token=True)
    assert anna.open(**REQUESTS["POST"]).status_code == 401
    assert anna.open(**REQUESTS["status"]).status_code == 401
    anna.environ_base["HTTP_AUTHORIZATION"] = f"Bearer {new.token}"
    assert anna.open(**REQUESTS["POST"]).status_code == 200


def test_a_token_whose_user_has_another_name_now_is_that_users(anna: FlaskClient, backend: Backend):
    execute(backend, "UPDATE api_user SET name = 'bert' WHERE name = 'anna'")
    assert anna.open(**REQUESTS["status"]).status_code == 200
    number = anna.open(**REQUESTS["POST"]).json["data"]["id"]
    assert execute(backend, "SELECT created_by FROM export WHERE id = %s", [number])[0]["created_by"] == "bert"


def test_without_a_permit_the_token_is_looked_at_before_the_limit(anna: FlaskClient, app, backend: Backend):
    limited = dataclasses.replace(backend.settings, requests_per_minute=1)
    app.extensions["contactexport"] = dataclasses.replace(backend, settings=limited, permits=type(backend.permits)())
    execute(backend, "UPDATE request_count SET requests = 5")
    execute(backend, "INSERT INTO request_count SELECT user_name, minute + interval '1 minute', 5 FROM request_count")
    assert anna.open(**REQUESTS["POST"]).status_code == 429
    execute(backend, ENDED["revoked"])
    assert anna.open(**REQUESTS["POST"]).status_code == 401


def test_a_request_that_is_looked_at_twice_is_counted_once(anna: FlaskClient, backend: Backend):
    backend.permits.keep("anna", 0, 0)
    backend.permits.keep("anna", 2, 60)
    for _ in range(2):
        assert anna.open(**REQUESTS["invalid body"]).status_code == 400
    assert not backend.permits.take("anna")


def test_a_wsse_header_decides_for_a_remembered_token_too(anna: FlaskClient, backend: Backend):
    for request_ in REQUESTS.values():
        answer = anna.open(**request_, headers={"X-WSSE": wsse_header("anna", "wrong")})
        assert answer.status_code == 401


def test_the_log_names_nobody_for_a_token_that_has_ended(anna: FlaskClient, backend: Backend, caplog):
    caplog.set_level("INFO", "contactexport.audit")
    execute(backend, ENDED["revoked"])
    anna.open(**REQUESTS["status"])
    assert '"user"' not in caplog.messages[-1]


def test_a_new_catalogue_counts_for_the_next_request_of_a_remembered_token(anna: FlaskClient, backend: Backend):
    execute(backend, "UPDATE contact_field SET exportable = false WHERE id = 1")
    assert anna.open(**REQUESTS["POST"]).json["replyText"] == "Invalid contact field id: 1"
    assert exports(backend) == 1
    execute(backend, "UPDATE contact_field SET exportable = true WHERE id = 1")
    assert anna.open(**REQUESTS["POST"]).status_code == 200

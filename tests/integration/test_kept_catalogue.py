"""The catalogue is kept between requests, and each change of it counts for the next request all the same."""

import time

import pytest
from exporting import REQUIRED_ONLY, execute

import contactexport
from contactexport import kept_catalogue
from contactexport.backend import Backend
from contactexport.db import catalogue_repository
from contactexport.services import manage_users, read_catalogue
from contactexport.services.authenticate import authenticate

CHANGES = {
    "a new origin": "INSERT INTO origin VALUES ('form', 777, 'new')",
    "another name": "UPDATE contact_field SET name = 'Vorname' WHERE id = 1",
    "a field that is not exported any more": "UPDATE contact_field SET exportable = false WHERE id = 1",
    "a field less": "DELETE FROM contact_field WHERE id = 2",
    "no origins": "TRUNCATE origin",
}


@pytest.fixture
def token(backend: Backend) -> str:
    return f"Bearer {manage_users.add_user(backend, 'anna', with_wsse=False, with_token=True).token}"


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Grows by one with each reading."""
    told: list[int] = []
    read = catalogue_repository.read
    monkeypatch.setattr(catalogue_repository, "read", lambda conn: (told.append(1), read(conn))[1])
    return told


def asked(backend: Backend, token: str):
    """What a request sees."""
    authenticate(backend, None, token)
    return read_catalogue.current(backend)


def test_it_is_read_once_as_long_as_nothing_changes(backend: Backend, token: str, reads: list[int]):
    first = asked(backend, token)
    assert asked(backend, token) is first
    execute(backend, "UPDATE contact_field_choice SET labels = labels")
    assert asked(backend, token) is first
    assert len(reads) == 1


@pytest.mark.parametrize("change", CHANGES)
def test_a_change_counts_for_the_next_request(backend: Backend, token: str, change: str):
    asked(backend, token)
    execute(backend, CHANGES[change])
    with backend.database.session() as conn:
        now = catalogue_repository.read(conn)
    assert asked(backend, token) == now


def test_a_change_counts_when_the_contacts_are_in_another_database(backend: Backend, token: str):
    apart = contactexport.make_backend(backend.settings)
    apart = type(apart)(**vars(apart) | {"contacts": backend.database})
    before = asked(apart, token)
    assert asked(apart, token) is before
    execute(backend, CHANGES["a new origin"])
    assert asked(apart, token).has_origin("form", 777)
    apart.database.close()


def test_what_came_without_the_triggers_is_seen_after_a_while(backend: Backend, token: str, monkeypatch):
    before = asked(backend, token)
    execute(backend, "ALTER TABLE origin DISABLE TRIGGER USER; INSERT INTO origin VALUES ('form', 777, 'new')")
    assert asked(backend, token) is before
    later = time.monotonic() + kept_catalogue.LONGEST_SECONDS
    monkeypatch.setattr(kept_catalogue.time, "monotonic", lambda: later)
    assert asked(backend, token).has_origin("form", 777)


def test_what_is_read_while_it_changes_is_read_again(backend: Backend, token: str, monkeypatch):
    """The change comes after the version was asked for, before the catalogue is read, or after it."""
    read = catalogue_repository.read

    def overtaken(conn):
        old = read(conn)
        execute(backend, CHANGES["a new origin"])
        return old

    with monkeypatch.context() as during:
        during.setattr(catalogue_repository, "read", overtaken)
        assert not asked(backend, token).has_origin("form", 777)
    assert asked(backend, token).has_origin("form", 777)


def test_a_request_with_a_new_field_is_accepted_and_with_a_former_one_refused(api, backend: Backend):
    body = REQUIRED_ONLY | {"contact_fields": ["1", "987654"]}
    url = "/api/v2/contact/getchanges"
    assert api.post(url, json=body).json["replyText"] == "Invalid contact field id: 987654"
    execute(
        backend,
        "INSERT INTO contact_field (id, name, application_type, column_name) VALUES (987654, 'N', 'shorttext', 'city')",
    )
    assert api.post(url, json=body).status_code == 200
    execute(backend, "UPDATE contact_field SET exportable = false WHERE id = 1")
    assert api.post(url, json=body).json["replyText"] == "Invalid contact field id: 1"

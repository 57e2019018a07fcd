"""The catalogue is cached between requests. A change still counts for the next request."""

import time

import pytest

import contactexport
from contactexport import catalogue
from contactexport.catalogue import Catalogue
from contactexport.context import Context
from contactexport.users import manage
from contactexport.users.authenticate import authenticate
from tests.support.exporting import REQUIRED_ONLY, execute

CHANGES = {
    "a new origin": "INSERT INTO origin VALUES ('form', 777, 'new')",
    "another name": "UPDATE contact_field SET name = 'Vorname' WHERE id = 1",
    "a field that is not exported any more": "UPDATE contact_field SET exportable = false WHERE id = 1",
    "a field less": "DELETE FROM contact_field WHERE id = 2",
    "no origins": "TRUNCATE origin",
}


@pytest.fixture
def token(context: Context) -> str:
    return f"Bearer {manage.add_user(context, 'anna', with_wsse=False, with_token=True).token}"


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Grows by one at each read."""
    told: list[int] = []
    read = Catalogue.read
    monkeypatch.setattr(Catalogue, "read", lambda conn: (told.append(1), read(conn))[1])
    return told


def asked(context: Context, token: str):
    """Returns the catalogue that a request sees."""
    authenticate(context, None, token)
    return context.catalogue.current()


def test_catalogue_is_read_once_while_nothing_changes(context: Context, token: str, reads: list[int]):
    first = asked(context, token)
    assert asked(context, token) is first
    execute(context, "UPDATE contact_field_choice SET labels = labels")
    assert asked(context, token) is first
    assert len(reads) == 1


@pytest.mark.parametrize("change", CHANGES)
def test_change_counts_for_next_request(context: Context, token: str, change: str):
    asked(context, token)
    execute(context, CHANGES[change])
    with context.database.session() as conn:
        now = Catalogue.read(conn)
    assert asked(context, token) == now


def test_change_counts_when_contacts_are_in_another_database(context: Context, token: str):
    apart = contactexport.make_context(context.settings)
    apart = type(apart)(**vars(apart) | {"contacts": context.database})
    before = asked(apart, token)
    assert asked(apart, token) is before
    execute(context, CHANGES["a new origin"])
    assert asked(apart, token).has_origin("form", 777)
    apart.database.close()


def test_change_without_triggers_is_seen_after_timeout(context: Context, token: str, monkeypatch):
    before = asked(context, token)
    execute(context, "ALTER TABLE origin DISABLE TRIGGER USER; INSERT INTO origin VALUES ('form', 777, 'new')")
    assert asked(context, token) is before
    later = time.monotonic() + catalogue.MAX_AGE_SECONDS
    monkeypatch.setattr(catalogue.time, "monotonic", lambda: later)
    assert asked(context, token).has_origin("form", 777)


def test_catalogue_read_during_change_is_read_again(context: Context, token: str, monkeypatch):
    """The change happens after the version is read, and before or after the catalogue is read."""
    read = Catalogue.read

    def overtaken(conn):
        old = read(conn)
        execute(context, CHANGES["a new origin"])
        return old

    with monkeypatch.context() as during:
        during.setattr(Catalogue, "read", overtaken)
        assert not asked(context, token).has_origin("form", 777)
    assert asked(context, token).has_origin("form", 777)


def test_new_field_is_accepted_and_dropped_field_refused(api, context: Context):
    body = REQUIRED_ONLY | {"contact_fields": ["1", "987654"]}
    url = "/api/v2/contact/getchanges"
    assert api.post(url, json=body).json["replyText"] == "Invalid contact field id: 987654"
    execute(
        context,
        "INSERT INTO contact_field (id, name, application_type, column_name) VALUES (987654, 'N', 'shorttext', 'city')",
    )
    assert api.post(url, json=body).status_code == 200
    execute(context, "UPDATE contact_field SET exportable = false WHERE id = 1")
    assert api.post(url, json=body).json["replyText"] == "Invalid contact field id: 1"

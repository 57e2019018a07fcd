"""contactexport.models: what follows from the records' own values."""

import dataclasses
import json
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contactexport.models import (
    LEGAL_TRANSITIONS,
    Catalogue,
    ContactField,
    ExportSettings,
    ExportStatus,
    FtpTarget,
    Origin,
)

TIMES = st.datetimes(timezones=st.just(UTC))
SETTINGS = st.builds(
    ExportSettings,
    distribution_method=st.sampled_from(["local", "ftp"]),
    origin=st.sampled_from(["form", "api", "all"]),
    origin_ids=st.lists(st.integers(0, 2**31)).map(tuple),
    start=TIMES,
    end=TIMES,
    contact_fields=st.lists(st.integers(0, 2**31), min_size=1).map(tuple),
    delimiter=st.sampled_from(",;"),
    header=st.booleans(),
    language=st.sampled_from(["en", "de"]),
    ftp=st.none() | st.builds(FtpTarget, st.text(), st.integers(1, 65535), st.text(), st.none() | st.text()),
    notification_url=st.none() | st.text(),
    type=st.sampled_from(["changes", "registrations"]),
    may_end_early=st.booleans(),
    may_be_incomplete=st.booleans(),
)
BASE = ExportSettings(
    "ftp", "form", (123,), datetime(2012, 2, 9, tzinfo=UTC), datetime(2012, 4, 2, tzinfo=UTC), (1, 3), ",", True, "en",
    FtpTarget("www.example.com", 21, "user", "a/b"),
)  # fmt: skip
# As it was when exports were first stored.
KEY_OF_BASE = -5888073934952067451


@given(SETTINGS)
def test_settings_come_back_from_the_database_as_they_were(settings: ExportSettings):
    stored = json.loads(json.dumps(settings.to_json()))
    assert ExportSettings.from_json(stored) == settings
    assert ExportSettings.from_json(stored).key() == settings.key()


@given(SETTINGS)
def test_the_key_is_a_signed_64_bit_number_and_does_not_know_the_notification(settings: ExportSettings):
    assert -(2**63) <= settings.key() < 2**63
    assert dataclasses.replace(settings, notification_url="https://example.com/other").key() == settings.key()


@pytest.mark.parametrize(
    "change",
    [
        {"distribution_method": "local"},
        {"origin": "api"},
        {"origin_ids": (123, 124)},
        {"start": BASE.start + timedelta(microseconds=1)},
        {"end": BASE.end + timedelta(microseconds=1)},
        {"contact_fields": (3, 1)},
        {"delimiter": ";"},
        {"header": False},
        {"language": "de"},
        {"spreadsheet": True},
        {"type": "registrations"},
        {"may_end_early": True},
        {"may_be_incomplete": True},
        {"ftp": None},
        {"ftp": FtpTarget("example.com", 21, "user", "a/b")},
        {"ftp": FtpTarget("www.example.com", 22, "user", "a/b")},
        {"ftp": FtpTarget("www.example.com", 21, "other", "a/b")},
        {"ftp": FtpTarget("www.example.com", 21, "user", None)},
        {"ftp": FtpTarget("www.example.com", 21, "user", "a/b", temporary_name="%s.tmp")},
    ],
)
def test_everything_else_makes_another_key(change: dict[str, object]):
    assert dataclasses.replace(BASE, **change).key() != BASE.key()


def test_the_key_of_a_setting_never_changes():
    """Two versions of the program must refuse each other's running exports."""
    assert BASE.key() == ExportSettings.from_json(BASE.to_json()).key()


def test_each_team_has_a_key_of_its_own_and_the_default_one_that_of_before():
    assert BASE.key("default") == BASE.key() == KEY_OF_BASE
    assert len({BASE.key(team) for team in ("default", "shop", "agency")}) == 3


def test_what_came_later_is_stored_only_when_it_was_asked_for():
    assert "type" not in BASE.to_json()
    assert "temporary_name" not in BASE.to_json()["ftp"]
    registrations = dataclasses.replace(BASE, type="registrations")
    assert ExportSettings.from_json(registrations.to_json()) == registrations


def test_finished_states_are_those_that_need_somebody_to_go_on():
    assert [status.value for status in ExportStatus if status.finished] == ["done", "error"]
    assert LEGAL_TRANSITIONS[ExportStatus.DONE] == frozenset()
    assert LEGAL_TRANSITIONS.keys() == set(ExportStatus)


def test_the_name_of_a_field_falls_back():
    field = ContactField(1, "first", "shorttext", "first_name", True, {"en": "First Name", "de": "Vorname", "fr": ""})
    shown = {"de": "Vorname", "en": "First Name", "fr": "First Name", "hu": "First Name"}
    assert {code: field.name_in(code) for code in shown} == shown
    assert dataclasses.replace(field, names={"fr": "Prénom"}).name_in("de") == "first"


def test_a_catalogue_knows_origins_and_fields():
    field = ContactField(27, "x", "special", "x", False, {})
    exportable = dataclasses.replace(field, id=1, exportable=True)
    catalogue = Catalogue((Origin("form", 123, "x"),), {27: field, 1: exportable})
    assert catalogue.has_origin("form", 123)
    assert not catalogue.has_origin("api", 123)
    assert not catalogue.has_origin("form", 124)
    assert [catalogue.is_exportable(number) for number in (1, 27, 2)] == [True, False, False]

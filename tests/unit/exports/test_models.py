"""The records of contactexport.exports.models and of the catalogue."""

import dataclasses
import json
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contactexport.catalogue import Catalogue, ContactField, Origin
from contactexport.exports.models import LEGAL_TRANSITIONS, ExportSettings, ExportStatus, FtpTarget, SftpTarget

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
    sftp=st.none() | st.builds(SftpTarget, st.text(), st.integers(1, 65535), st.text(), st.none() | st.text()),
    compression=st.sampled_from([None, "gzip"]),
    openpgp_key=st.none() | st.text(),
)
BASE = ExportSettings(
    "ftp", "form", (123,), datetime(2012, 2, 9, tzinfo=UTC), datetime(2012, 4, 2, tzinfo=UTC), (1, 3), ",", True, "en",
    FtpTarget("www.example.com", 21, "user", "a/b"),
)  # fmt: skip
# The key with which the first exports were stored.
KEY_OF_BASE = -5888073934952067451


@given(SETTINGS)
def test_settings_survive_storing_and_loading(settings: ExportSettings):
    stored = json.loads(json.dumps(settings.to_json()))
    assert ExportSettings.from_json(stored) == settings
    assert ExportSettings.from_json(stored).key() == settings.key()


@given(SETTINGS)
def test_key_is_a_signed_64_bit_number_and_ignores_the_notification(settings: ExportSettings):
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
        {"sftp": SftpTarget("www.example.com", 22, "user")},
        {"compression": "gzip"},
        {"openpgp_key": "a certificate"},
    ],
)
def test_every_other_value_changes_the_key(change: dict[str, object]):
    assert dataclasses.replace(BASE, **change).key() != BASE.key()


def test_key_of_a_setting_never_changes():
    """Two versions of the program must refuse the same setting while either runs it."""
    assert BASE.key() == ExportSettings.from_json(BASE.to_json()).key()


def test_each_team_has_its_own_key_and_default_has_the_former_one():
    assert BASE.key("default") == BASE.key() == KEY_OF_BASE
    assert len({BASE.key(team) for team in ("default", "shop", "agency")}) == 3


def test_later_settings_are_stored_only_if_requested():
    assert "type" not in BASE.to_json()
    assert "temporary_name" not in BASE.to_json()["ftp"]
    registrations = dataclasses.replace(BASE, type="registrations")
    assert ExportSettings.from_json(registrations.to_json()) == registrations


def test_only_done_and_error_are_finished():
    assert [status.value for status in ExportStatus if status.finished] == ["done", "error"]
    assert LEGAL_TRANSITIONS[ExportStatus.DONE] == frozenset()
    assert LEGAL_TRANSITIONS.keys() == set(ExportStatus)


def test_name_of_field_falls_back_to_english_and_then_to_its_own_name():
    field = ContactField(1, "first", "shorttext", "first_name", True, {"en": "First Name", "de": "Vorname", "fr": ""})
    shown = {"de": "Vorname", "en": "First Name", "fr": "First Name", "hu": "First Name"}
    assert {code: field.name_in(code) for code in shown} == shown
    assert dataclasses.replace(field, names={"fr": "Prénom"}).name_in("de") == "first"


def test_catalogue_knows_origins_and_exportable_fields():
    field = ContactField(27, "x", "special", "x", False, {})
    exportable = dataclasses.replace(field, id=1, exportable=True)
    catalogue = Catalogue((Origin("form", 123, "x"),), {27: field, 1: exportable})
    assert catalogue.has_origin("form", 123)
    assert not catalogue.has_origin("api", 123)
    assert not catalogue.has_origin("form", 124)
    assert [catalogue.is_exportable(number) for number in (1, 27, 2)] == [True, False, False]

"""What a posted form becomes as the body of a request."""

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest
from werkzeug.datastructures import MultiDict

from contactexport.console.export_form import body_of, chosen_fields, values_of, window_of
from contactexport.exports.models import ExportSettings, FtpTarget

NOW = datetime(2026, 3, 1, 23, 30, 0, tzinfo=UTC)
BERLIN = ZoneInfo("Europe/Berlin")  # where it is 2026-03-02 already


@pytest.mark.parametrize(
    ("preset", "window"),
    [
        ("today", ("2026-03-02", "2026-03-02T00:30:00+01:00")),
        ("yesterday", ("2026-03-01", "2026-03-02")),
        ("last_7_days", ("2026-02-23", "2026-03-02")),
        ("last_month", ("2026-02-01", "2026-03-01")),
        ("custom", None),
        ("since_last", None),
        ("<b>", None),
    ],
)
def test_preset_is_a_window_in_the_time_zone_of_the_service(preset, window):
    assert window_of(preset, NOW, BERLIN) == window


def test_fields_come_in_the_order_typed_then_in_that_of_the_list():
    form = MultiDict([("field", "1"), ("field", "2"), ("field", "3"), ("order", " 3; 106533,\n1 ")])
    assert chosen_fields(form) == ["3", "106533", "1", "2"]


def test_body_has_every_required_parameter_however_little_is_posted():
    body = body_of(MultiDict({"distribution_method": "ftp", "origin": "form"}), ("", ""))
    assert body["time_range"] == ["", ""]
    assert (body["origin_id"], body["contact_fields"]) == ([], [])
    assert body["ftp_settings"] == {"host": "", "username": "", "tls": 0}


def test_form_of_stored_settings_asks_for_the_same_without_the_password():
    settings = ExportSettings(
        distribution_method="ftp",
        origin="form",
        origin_ids=(123, 7),
        start=datetime(2012, 2, 9, tzinfo=UTC),
        end=datetime(2012, 4, 2, 0, 0, 0, 5, tzinfo=UTC),
        contact_fields=(3, 1),
        delimiter=";",
        header=False,
        language="de",
        ftp=FtpTarget("ftp.example.com", 2121, "anna", "in", tls=True),
        removed=True,
    )
    values = values_of(settings, BERLIN)
    body = body_of(values, (values["start"], values["end"]))
    assert body == {
        "distribution_method": "ftp",
        "time_range": ["2012-02-09T01:00:00+01:00", "2012-04-02T02:00:00.000005+02:00"],
        "origin": "form",
        "origin_id": ["123", "7"],
        "contact_fields": ["3", "1"],
        "delimiter": ";",
        "language": "de",
        "add_field_names_header": 0,
        "spreadsheet": 0,
        "removed": 1,
        "origin_column": 0,
        "may_end_early": 0,
        "may_be_incomplete": 0,
        "ftp_settings": {"host": "ftp.example.com", "port": "2121", "username": "anna", "folder": "in", "tls": 1},
    }

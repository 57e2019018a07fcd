"""Clients written for the original receive every contact. `imitated_clients` says what each kind sends."""

from collections.abc import Iterator
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from tests.support import filled_forms
from tests.support.filled_forms import CONTACTS, REQUEST, emails
from tests.support.imitated_clients import (
    Client,
    HourlyShopModule,
    LocalTimeClient,
    RepeatingClient,
    ShopModule,
    SingerTap,
    SlashClient,
)
from tests.support.served import Served, running

# tests/integration/api/test_clients_of_the_original.py has what these clients rely on.
pytestmark = pytest.mark.slow

ZONE = ZoneInfo("Asia/Kolkata")  # far from UTC, and half an hour off
PATHS = [
    "settings",
    "language",
    "language/translate/de",
    "field",
    "field/translate/en",
    "field/5/choice",
    "field/5/choice/translate/de",
    "field/choices?fields=5,9",
    "form",
    "source",
    "export",
]


@pytest.fixture(scope="module")
def served(tmp_path_factory) -> Iterator[Served]:
    with running(tmp_path_factory.mktemp("served"), TIME_ZONE=ZONE.key) as started:
        filled_forms.fill(started)
        yield started


@pytest.fixture(scope="module")
def account(served) -> dict[str, str]:
    return filled_forms.account(served, "shop")


def received(client: ShopModule, form: int, **changes: Any) -> list[str]:
    export_id = client.exported(REQUEST | {"origin_id": str(form)} | changes)
    return sorted(row["E-Mail"] for row in client.contacts(export_id))


@pytest.mark.parametrize("form", CONTACTS)
@pytest.mark.parametrize("kind", [ShopModule, SlashClient, RepeatingClient, SingerTap])
def test_paging_loop_receives_every_contact(account, kind, form):
    assert received(kind(**account), form) == emails(form)


@pytest.mark.parametrize("form", CONTACTS)
def test_client_that_writes_local_time_receives_every_contact(account, form):
    assert received(LocalTimeClient(**account, zone=ZONE), form) == emails(form)


def test_shop_module_receives_contacts_of_all_origins(account):
    client = ShopModule(**account)
    export_id = client.exported(REQUEST | {"origin": "all", "origin_id": "0", "notification_url": "", "delimiter": ""})
    assert sorted(row["E-Mail"] for row in client.contacts(export_id)) == filled_forms.all_emails()


def test_pages_without_header_end_with_an_empty_page(account):
    client = Client(**account)
    export_id = client.exported(REQUEST | {"origin_id": "123", "add_field_names_header": 0})
    pages = [client.page(export_id, offset, 100).splitlines() for offset in (0, 100, 200, 300)]
    assert [len(page) for page in pages] == [100, 100, 57, 0]


def test_hourly_request_with_equal_dates_gives_an_empty_file_each_time(account):
    client = HourlyShopModule(**account)
    for _hour in range(2):
        export_id = client.exported(REQUEST | {"origin_id": "123", "time_range": client.time_range()})
        assert client.contacts(export_id) == []
        assert client.page(export_id, 0, 100) == "user_id,E-Mail,Opt-In,last update\n"


def test_shop_module_receives_registrations(account):
    client = SlashClient(**account)
    export_id = client.exported(REQUEST | {"origin_id": "123"}, "contact/getregistrations")
    assert client.call("GET", f"export/{export_id}")["type"] == "registrations"
    assert sorted(row["E-Mail"] for row in client.contacts(export_id)) == emails(123)


@pytest.mark.parametrize("path", PATHS)
def test_slash_after_a_path_changes_nothing(account, path):
    plain, slash = Client(**account).call("GET", path), SlashClient(**account).call("GET", path)
    assert plain == slash
    assert plain


def test_singer_tap_reads_its_limit_from_refusals_too(account):
    tap = SingerTap(**account)
    assert {"id", "timezone", "name", "totalContacts"} <= tap.settings.keys()
    refusals = [("POST", "contact/getchanges"), ("GET", "nothing"), ("DELETE", "settings"), ("GET", "export/999999")]
    assert [tap.send(*refused).status_code for refused in refusals] == [400, 404, 405, 400]
    tap.secret = "wrong"
    assert tap.send("GET", "settings").status_code == 401

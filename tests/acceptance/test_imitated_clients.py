"""Clients written for the original receive every contact; what each kind sends is told in `imitated_clients`."""

import json
from collections.abc import Iterator
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from imitated_clients import (
    Client,
    HourlyShopModule,
    LocalTimeClient,
    RepeatingClient,
    ShopModule,
    SingerTap,
    SlashClient,
)
from served import Served, execute, running

ZONE = ZoneInfo("Asia/Kolkata")  # far from UTC, and half an hour off
CONTACTS = {123: 257, 124: 100, 125: 0}  # how many each form has: more than two pages, exactly one, none
REQUEST = {
    "distribution_method": "local",
    "origin": "form",
    "time_range": ["2020-01-01", "2100-01-01"],
    "contact_fields": ["3", "31"],
    "add_field_names_header": 1,
}
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
        url = started.service.flask("db", "url").strip()
        execute(url, "INSERT INTO origin (kind, id, name) VALUES ('form', 125, 'Nobody came')")
        for form, count in CONTACTS.items():
            execute(
                url,
                "INSERT INTO contact (origin_kind, origin_id, email) "
                f"SELECT 'form', {form}, n || '@form{form}.example' FROM generate_series(1, {count}) AS n",
            )
        yield started


@pytest.fixture(scope="module")
def account(served) -> dict[str, str]:
    """What a client of the original is configured with."""
    made = json.loads(served.service.flask("users", "add", "shop", "--wsse", "--compatible", "--json"))
    return {"base_url": f"{served.url}/api/v2", "username": "shop", "secret": made["wsse_secret"]}


def emails(form: int) -> list[str]:
    return sorted(f"{n}@form{form}.example" for n in range(1, CONTACTS[form] + 1))


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
    assert sorted(row["E-Mail"] for row in client.contacts(export_id)) == sorted(sum(map(emails, CONTACTS), []))


def test_pages_without_a_header_end_when_nothing_is_left(account):
    client = Client(**account)
    export_id = client.exported(REQUEST | {"origin_id": "123", "add_field_names_header": 0})
    pages = [client.page(export_id, offset, 100).splitlines() for offset in (0, 100, 200, 300)]
    assert [len(page) for page in pages] == [100, 100, 57, 0]


def test_hourly_request_for_one_day_is_an_empty_file_each_time(account):
    client = HourlyShopModule(**account)
    for _hour in range(2):
        export_id = client.exported(REQUEST | {"origin_id": "123", "time_range": client.time_range()})
        assert client.contacts(export_id) == []
        assert client.page(export_id, 0, 100) == "user_id,E-Mail,Opt-In,last update\n"


def test_registrations_arrive_as_changes_do(account):
    client = SlashClient(**account)
    export_id = client.exported(REQUEST | {"origin_id": "123"}, "contact/getregistrations")
    assert client.call("GET", f"export/{export_id}")["type"] == "registrations"
    assert sorted(row["E-Mail"] for row in client.contacts(export_id)) == emails(123)


@pytest.mark.parametrize("path", PATHS)
def test_slash_behind_a_path_changes_nothing(account, path):
    plain, slash = Client(**account).call("GET", path), SlashClient(**account).call("GET", path)
    assert plain == slash
    assert plain


def test_singer_tap_reads_its_limit_from_refusals_as_well(account):
    tap = SingerTap(**account)
    assert {"id", "timezone", "name", "totalContacts"} <= tap.settings.keys()
    refusals = [("POST", "contact/getchanges"), ("GET", "nothing"), ("DELETE", "settings"), ("GET", "export/999999")]
    assert [tap.send(*refused).status_code for refused in refusals] == [400, 404, 405, 400]
    before = tap.remaining
    tap.call("GET", "field")
    assert tap.remaining == before - 1
    tap.secret = "wrong"
    assert tap.send("GET", "settings").status_code == 401

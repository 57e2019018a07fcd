"""GET /contact/query and POST /contact/getdata: contacts as they are now."""

import pytest

from contactexport.contacts import data as contact_data
from tests.support.exporting import add_contact, execute, other_session

QUERY = "/api/v2/contact/query"
GETDATA = "/api/v2/contact/getdata"


@pytest.fixture
def ids(context) -> list[int]:
    return [add_contact(context, first_name=name, email=f"{name}@example.com") for name in ("anna", "bert", "carl")]


def test_all_contacts_are_read_page_by_page(api, ids):
    pages = [api.get(f"{QUERY}/?return=3&limit=2&offset={offset}").json["data"] for offset in (0, 2, 4)]
    assert [page["errors"] for page in pages] == [[], [], []]
    told = [contact for page in pages for contact in page["result"]]
    emails = ["anna@example.com", "bert@example.com", "carl@example.com"]
    assert told == [{"id": str(one), "3": email} for one, email in zip(ids, emails, strict=True)]


def test_slash_at_end_of_url_is_ignored(api, ids):
    assert api.get(f"{QUERY}/?return=3&offset=1&limit=1/").json["data"]["result"] == [
        {"id": str(ids[1]), "3": "bert@example.com"}
    ]


def test_slow_query_is_cancelled(api, ids, context, monkeypatch):
    monkeypatch.setattr(contact_data, "MAX_MILLISECONDS", 100)
    with other_session(context, autocommit=False) as holder, holder.cursor() as cursor:
        cursor.execute("LOCK TABLE contact IN ACCESS EXCLUSIVE MODE")
        answers = (
            api.get(f"{QUERY}?return=3"),
            api.post(GETDATA, json={"keyId": "id", "keyValues": [ids[0]], "fields": ["1"]}),
        )
    assert [(answer.status_code, answer.json["replyCode"]) for answer in answers] == [(503, 1), (503, 1)]
    assert api.get(f"{QUERY}?return=3").status_code == 200


def test_contacts_are_found_by_value(api, ids):
    answer = api.get(QUERY, query_string={"return": "1", "3": "bert@example.com"})
    assert answer.json["data"]["result"] == [{"id": str(ids[1]), "1": "bert"}]


def test_contacts_are_read_by_id_with_requested_fields(api, ids):
    body = {"keyId": "id", "keyValues": [str(ids[2]), ids[0], "999", "x"], "fields": ["1", 3, "27"]}
    data = api.post(GETDATA, json=body).json["data"]
    assert data["result"] == [
        {"id": str(one), "uid": str(one), "1": name, "3": f"{name}@example.com", "27": None}
        for one, name in ((ids[0], "anna"), (ids[2], "carl"))
    ]
    assert [error["key"] for error in data["errors"]] == ["999", "x"]


def test_result_without_contacts_is_empty(api):
    assert api.get(f"{QUERY}?return=3").json["data"] == {"errors": [], "result": []}
    answer = api.post(GETDATA, json={"keyId": "id", "keyValues": [], "fields": ["1"]})
    assert answer.json["data"] == {"errors": [], "result": []}


def test_default_is_every_field(api, ids):
    data = api.post(GETDATA, json={"keyId": "id", "keyValues": [ids[0]]}).json["data"]
    assert set(data["result"][0]) == {"id", "uid", *map(str, range(49)), "106533"}


@pytest.mark.parametrize(
    "query, text",
    [
        ("", "Missing parameter: return"),
        ("?return=", "Missing parameter: return"),
        ("?return=27", "Invalid contact field id: 27"),
        ("?return=x", "Invalid contact field id: x"),
        ("?return=3&999999=a", "Invalid contact field id: 999999"),
        ("?return=3&27=1", "Invalid contact field id: 27"),
        ("?return=3&1=a&2=b", "Only one field may be asked for"),
        ("?return=3&limit=-1", "Invalid value for limit: -1"),
        ("?return=3&offset=x", "Invalid value for offset: x"),
        ("?return=3&1=%00", "Invalid value for 1: it has a NUL character"),
    ],
)
def test_invalid_query_is_refused_with_its_value(api, query, text):
    answer = api.get(QUERY + query)
    assert (answer.status_code, answer.json["replyCode"], answer.json["replyText"]) == (400, 10001, text)


@pytest.mark.parametrize(
    "body, text",
    [
        ({}, "Missing parameter: keyId"),
        ({"keyId": "id"}, "Missing parameter: keyValues"),
        ({"keyId": "3", "keyValues": ["a"]}, "Invalid value for keyId: 3"),
        ({"keyId": "id", "keyValues": "1"}, "Invalid data format for keyValues. Array expected"),
        ({"keyId": "id", "keyValues": [1], "fields": 3}, "Invalid data format for fields. Array expected"),
        ({"keyId": "id", "keyValues": [1], "fields": ["x"]}, "Invalid contact field id: x"),
        ({"keyId": "id", "keyValues": [1] * 1001}, "Invalid data format for keyValues. At most 1000 expected"),
    ],
)
def test_invalid_getdata_is_refused_with_its_value(api, body, text):
    answer = api.post(GETDATA, json=body)
    assert (answer.status_code, answer.json["replyCode"], answer.json["replyText"]) == (400, 10001, text)


@pytest.mark.parametrize("value", ["9" * 30, "-1", 10**30, -(10**30), "\0", {}, [1], None, True, 1.5])
def test_impossible_id_counts_as_unknown(api, ids, value):
    answer = api.post(GETDATA, json={"keyId": "id", "keyValues": [value], "fields": ["1"]})
    if answer.status_code == 400:
        assert answer.json["replyText"] == "Invalid JSON in the request body"
    else:
        assert (len(answer.json["data"]["errors"]), answer.json["data"]["result"]) == (1, [])


def test_column_of_any_name_is_read(api, context, ids):
    execute(context, """ALTER TABLE contact ADD COLUMN "50% {off}" text DEFAULT 'yes'""")
    execute(context, """UPDATE contact_field SET column_name = '50% {off}' WHERE id = 1""")
    assert api.get(f"{QUERY}?return=1&limit=1").json["data"]["result"] == [{"id": str(ids[0]), "1": "yes"}]


def test_contacts_with_uuids_are_found_by_them(api, context):
    """As an adopted table may have."""
    execute(
        context,
        "ALTER TABLE contact_change ALTER contact_id TYPE uuid USING NULL; DROP TABLE contact;"
        "CREATE VIEW contact AS SELECT '11111111-2222-3333-4444-aaaaaaaaaaaa'::uuid AS id, 'Anna'::text AS first_name",
    )
    sent = ["11111111-2222-3333-4444-AAAAAAAAAAAA", "11111111-2222-3333-4444-bbbbbbbbbbbb", "7", "x"]
    answer = api.post(GETDATA, json={"keyId": "id", "keyValues": sent, "fields": ["1"]}).json["data"]
    assert [(one["id"], one["1"]) for one in answer["result"]] == [(sent[0].lower(), "Anna")]
    assert [one["key"] for one in answer["errors"]] == sent[1:]

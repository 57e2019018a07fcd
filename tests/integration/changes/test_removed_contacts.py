"""With `removed` an export also tells which contacts were deleted or have left its origins in the window."""

import csv
import io
import random
from datetime import datetime, timedelta

import psycopg2
import pytest

from contactexport.changes import prune
from contactexport.context import Context
from contactexport.errors import InvalidRequest
from contactexport.exports.models import ALL_TIME, ExportSettings
from tests.support.exporting import (
    START,
    add_contact,
    around_now,
    contact_changed,
    database_time,
    execute,
    export_file,
    other_session,
    request,
    run,
    settings_for,
    with_wait,
)
from tests.support.readers import WAYS, reading

FORM, OTHER_FORM = 123, 124


def with_removed(**changes: object) -> ExportSettings:
    return settings_for(**around_now() | changes, removed=True)


def rows(context: Context, settings: ExportSettings) -> list[list[str]]:
    text = export_file(context, settings).decode("utf-8-sig")
    return list(csv.reader(io.StringIO(text)))


def changes(context: Context, settings: ExportSettings) -> dict[int, str]:
    """The last column by contact, each contact once."""
    found = rows(context, settings)
    assert len({row[0] for row in found}) == len(found)
    return {int(row[0]): row[-1] for row in found}


def logged_before(context: Context) -> None:
    """What was logged so far lies in the past of every window."""
    for log in ("contact_change", "contact_removal"):
        execute(context, f"UPDATE {log} SET changed_at = '2012-01-01'")


@pytest.mark.parametrize("way", WAYS)
def test_deleted_and_moved_contacts_have_a_row(context: Context, monkeypatch: pytest.MonkeyPatch, way: str):
    changed, deleted, moved, untouched, elsewhere = (add_contact(context, first_name="x") for _ in range(5))
    execute(context, "UPDATE contact SET origin_id = 124 WHERE id = %s", (elsewhere,))
    logged_before(context)
    execute(context, "UPDATE contact SET first_name = 'Anna' WHERE id = %s", (changed,))
    execute(context, "DELETE FROM contact WHERE id = %s", (deleted,))
    execute(context, "UPDATE contact SET origin_id = 124 WHERE id = %s", (moved,))
    execute(context, "UPDATE contact SET first_name = 'y' WHERE id = %s", (elsewhere,))
    reader, more = reading(context, way, monkeypatch)
    assert changes(reader, with_removed(**more)) == {changed: "changed", deleted: "deleted", moved: "moved"}
    by_id = {int(row[0]): row for row in rows(reader, with_removed(**more))}
    assert by_id[changed][1:3] == ["Anna", ""]
    removed_at = execute(context, "SELECT changed_at FROM contact_removal WHERE kind = 'd'")[0]["changed_at"]
    assert by_id[deleted][1:] == ["", "", f"{removed_at:%Y-%m-%d %H:%M:%S}", "deleted"]
    assert untouched not in by_id


def test_header_names_the_column_change(context: Context):
    file = export_file(context, with_removed(header=True, origin_column=True))
    assert file == b"user_id,First Name,E-Mail,last update,origin,change\n"


def test_state_at_the_snapshot_decides(context: Context):
    made_again, back, deleted_later, new = (add_contact(context) for _ in range(4))
    execute(context, "DELETE FROM contact WHERE id = %s", (made_again,))
    add_contact(context, id=made_again)
    for origin in (OTHER_FORM, FORM):
        execute(context, "UPDATE contact SET origin_id = %s WHERE id = %s", (origin, back))
    execute(context, "UPDATE contact SET origin_id = 124 WHERE id = %s", (deleted_later,))
    execute(context, "DELETE FROM contact WHERE id = %s", (deleted_later,))
    assert changes(context, with_removed()) == {
        made_again: "changed", back: "changed", deleted_later: "deleted", new: "changed",
    }  # fmt: skip


def test_removal_after_the_window_is_left_to_the_next_one(context: Context):
    gone, returned = add_contact(context), add_contact(context)
    logged_before(context)
    execute(context, "UPDATE contact SET origin_id = 124 WHERE id = %s", (returned,))
    border = database_time(context)
    execute(context, "DELETE FROM contact WHERE id = %s", (gone,))
    execute(context, "UPDATE contact SET origin_id = 123 WHERE id = %s", (returned,))
    window = around_now()
    assert changes(context, with_removed(end=border)) == {}
    assert changes(context, with_removed(start=border, end=window["end"])) == {gone: "deleted", returned: "changed"}


def test_truncate_deletes_every_contact(context: Context):
    contacts = [add_contact(context), add_contact(context), add_contact(context, origin_id=OTHER_FORM)]
    execute(context, "TRUNCATE contact")
    assert changes(context, with_removed()) == dict.fromkeys(contacts[:2], "deleted")
    assert changes(context, with_removed(origin="all", origin_ids=())) == dict.fromkeys(contacts, "deleted")


@pytest.mark.parametrize("so_many", [1, 3, 300])
def test_changed_id_is_a_deletion_and_a_new_contact(context: Context, so_many: int):
    for _ in range(so_many):
        add_contact(context)
    old = [row["id"] for row in execute(context, "SELECT id FROM contact")]
    logged_before(context)
    execute(context, "UPDATE contact SET id = id + 1000000, first_name = 'x'")
    expected = dict.fromkeys(old, "deleted") | {contact + 1000000: "changed" for contact in old}
    assert changes(context, with_removed()) == expected


@pytest.mark.parametrize("so_many", [1, 3, 300])
def test_update_that_sets_a_column_and_moves_is_a_removal(context: Context, so_many: int):
    """Also of so many contacts that they are not compared one by one."""
    for _ in range(so_many):
        add_contact(context, city="Wien")
    logged_before(context)
    execute(context, "UPDATE contact SET city = 'Graz', origin_kind = 'api', origin_id = 7")
    assert set(changes(context, with_removed()).values()) == {"moved"}
    assert len(changes(context, with_removed())) == so_many


def test_request_without_the_option_is_answered_as_before(context: Context):
    contacts = [add_contact(context, first_name="x") for _ in range(4)]
    execute(context, "UPDATE contact SET origin_id = 124 WHERE id = %s", (contacts[0],))
    execute(context, "DELETE FROM contact WHERE id = %s", (contacts[1],))
    for origin in (OTHER_FORM, FORM):
        execute(context, "UPDATE contact SET origin_id = %s WHERE id = %s", (origin, contacts[2]))
    found = rows(context, settings_for(**around_now()))
    assert [(int(row[0]), len(row)) for row in found] == [(contact, 4) for contact in contacts[2:]]


def test_consecutive_windows_keep_a_mirror_equal(context: Context):
    """Random inserts, updates, deletions, moves, changes of ids and rolled back transactions, a window after a few."""
    chance = random.Random(7)
    mirror: dict[str, list[str]] = {}
    start = database_time(context)
    for step in range(120):
        statement = chance.choice(
            [
                "INSERT INTO contact (origin_kind, origin_id) VALUES ('form', 123 + (random() * 2)::int)",
                "UPDATE contact SET first_name = 'u' || random() WHERE id % 3 = (random() * 2)::int",
                "UPDATE contact SET origin_id = 123 + (random() * 2)::int WHERE id % 4 = (random() * 3)::int",
                "DELETE FROM contact WHERE id % 7 = (random() * 6)::int",
                "UPDATE contact SET id = id + 1000 WHERE id = (SELECT min(id) FROM contact)",
                *(["TRUNCATE contact"] if step % 40 == 39 else []),
            ]
        )
        with other_session(context, autocommit=False) as session, session.cursor() as cursor:
            cursor.execute(statement)
            if chance.random() < 0.1:
                session.rollback()
            else:
                session.commit()
        if step % 5 == 0:
            end = database_time(context)
            for row in rows(context, settings_for(start=start, end=end, removed=True)):
                if row[-1] == "changed":
                    mirror[row[0]] = row[1:3]
                else:
                    mirror.pop(row[0], None)
            start = end
            source = execute(context, "SELECT id, first_name FROM contact WHERE origin_id = 123")
            assert mirror == {str(row["id"]): [row["first_name"] or "", ""] for row in source}


def test_open_transaction_that_deletes_is_waited_for(context: Context):
    add_contact(context)
    logged_before(context)
    with other_session(context, autocommit=False) as session, session.cursor() as cursor:
        cursor.execute("DELETE FROM contact")
        end = database_time(context)
        export = run(with_wait(context, 0.2), request(context, with_removed(end=end)))
        assert "Open transactions may still add changes" in str(export.error)
        session.commit()
    execute(context, "UPDATE export SET due_at = clock_timestamp()")
    assert run(context, export.id).rows == 1


def test_origin_column_names_where_a_contact_belongs_or_belonged(context: Context):
    here, left = add_contact(context), add_contact(context)
    execute(context, "UPDATE contact SET origin_kind = 'api', origin_id = 5 WHERE id = %s", (left,))
    found = rows(context, with_removed(origin_column=True))
    assert [row[-2:] for row in found] == [["form:123", "changed"], ["form:123", "moved"]]
    found = rows(context, settings_for(**around_now(), origin="all", origin_ids=(), origin_column=True))
    assert {row[0]: row[-1] for row in found} == {str(here): "form:123", str(left): "api:5"}


@pytest.mark.parametrize("way", ["one reader", "several readers", "spreadsheet"])
def test_full_export_has_every_contact_however_old_its_changes(
    context: Context, monkeypatch: pytest.MonkeyPatch, way: str
):
    logged, forgotten = contact_changed(context, START, first_name="a"), contact_changed(context, START, first_name="b")
    add_contact(context, origin_id=OTHER_FORM)
    execute(context, "DELETE FROM contact_change WHERE contact_id = %s", (forgotten,))
    execute(context, "UPDATE contact_change SET changed_at = %s", (START,))
    reader, more = reading(context, way, monkeypatch)
    start, end = ALL_TIME
    full = settings_for(start=start, end=end, type="full", may_end_early=True, **more)
    assert rows(reader, full) == [
        [str(logged), "a", "", "2012-02-09 00:00:00"],
        [str(forgotten), "b", "", ""],
    ]
    for _month in prune.prune(context, datetime(2020, 1, 1, tzinfo=START.tzinfo), 1):
        pass
    assert [row[0] for row in rows(reader, full)] == [str(logged), str(forgotten)]


def test_window_before_removals_were_logged_is_refused(context: Context, api):
    since = database_time(context)
    execute(context, "UPDATE contact_log_horizon SET removals_from = %s", (since,))
    body = {
        "distribution_method": "local",
        "time_range": ["2012-02-09", "2012-04-02"],
        "origin": "form",
        "origin_id": "123",
        "contact_fields": ["1"],
        "removed": 1,
    }
    refused = api.post("/api/v2/contact/getchanges", json=body)
    assert refused.status_code == InvalidRequest.http_status
    assert "removed contacts are known from" in refused.json["replyText"]
    assert api.post("/api/v2/contact/getchanges", json=body | {"removed": 0}).status_code == 200
    accepted = api.post("/api/v2/contact/getchanges", json=body | {"may_be_incomplete": 1})
    export = run(context, accepted.json["data"]["id"])
    assert export.complete_from == since
    kept = since + timedelta(hours=1)
    execute(context, "INSERT INTO contact_removal VALUES ('form', 123, %s, 'd', '{1}')", (since,))
    prune.delete_strays(context, kept)
    horizon = execute(context, "SELECT removals_from, complete_from FROM contact_log_horizon")[0]
    assert horizon == {"removals_from": kept, "complete_from": None}


def test_uuid_keys_and_several_origins(context: Context, monkeypatch: pytest.MonkeyPatch):
    """As an adopted table has them: the log's column is a uuid, and a view tells where contacts belong."""
    execute(
        context,
        "ALTER TABLE contact_change ALTER contact_id TYPE uuid USING NULL;"
        "ALTER TABLE contact_removal ALTER contact_ids TYPE uuid[] USING NULL;"
        "DROP TABLE contact;"
        "CREATE TABLE member (id uuid PRIMARY KEY, name text);"
        "CREATE TABLE listed (member uuid, list integer);"
        "CREATE VIEW contact AS SELECT id, name AS first_name, NULL::text AS email FROM member;"
        "CREATE VIEW contact_origin AS"
        " SELECT member AS contact_id, 'form' AS origin_kind, list AS origin_id FROM listed;"
        "INSERT INTO member SELECT md5(n::text)::uuid, 'n' || n FROM generate_series(1, 400) AS n;"
        "INSERT INTO listed SELECT id, 123 FROM member UNION ALL SELECT id, 124 FROM member WHERE name < 'n3';"
        "INSERT INTO contact_change SELECT member, 'form', list, contact_change_time(), 'c' FROM listed",
    )
    in_both = execute(context, "SELECT count(*) AS n FROM listed WHERE list = 124")[0]["n"]
    both = with_removed(origin_ids=(FORM, OTHER_FORM), origin_column=True)
    for way in WAYS:
        reader, more = reading(context, way, monkeypatch)
        found = rows(reader, with_removed(**more))
        assert [row[0] for row in found] == [
            str(row["id"]) for row in execute(context, "SELECT id FROM member ORDER BY id")
        ]
        monkeypatch.undo()
    assert sum(row[-2] == "form:123, form:124" for row in rows(context, both)) == in_both
    execute(context, "DELETE FROM listed WHERE list = 124; DELETE FROM contact_change")
    execute(
        context,
        "INSERT INTO contact_removal SELECT 'form', 124, contact_change_time(), 'm', array_agg(id) FROM member"
        " WHERE name < 'n3'",
    )
    found = rows(context, with_removed(origin_ids=(OTHER_FORM,)))
    assert [row[-1] for row in found] == ["moved"] * in_both


@pytest.mark.parametrize("number", ["", "SELECT pg_current_xact_id()"], ids=["no number", "its number is smaller"])
@pytest.mark.parametrize("level", ["REPEATABLE READ", "SERIALIZABLE"])
def test_truncate_of_contacts_that_its_transaction_does_not_see_fails(context: Context, level: str, number: str):
    seen = add_contact(context)
    with other_session(context, autocommit=False) as conn, conn.cursor() as cursor:
        cursor.execute(f"SET TRANSACTION ISOLATION LEVEL {level}; SELECT FROM contact; {number}")
        unseen = add_contact(context)
        with pytest.raises(psycopg2.errors.SerializationFailure, match="may delete contacts that this transaction"):
            cursor.execute("TRUNCATE contact")
        conn.rollback()
        cursor.execute(f"SET TRANSACTION ISOLATION LEVEL {level}; SELECT FROM contact; TRUNCATE contact")
        conn.commit()
    assert changes(context, with_removed()) == {seen: "deleted", unseen: "deleted"}

"""An export of type registrations holds the contacts created in the window that belong to the origin now."""

import csv
import io
from datetime import datetime, timedelta

import pytest

from contactexport.changes import selection
from contactexport.context import Context
from contactexport.exports import status
from contactexport.exports.models import ExportSettings
from tests.support.exporting import (
    START,
    add_contact,
    around_now,
    change,
    context_with,
    execute,
    export_file,
    exported_ids,
    other_session,
    request,
    row_of,
    run,
    settings_for,
)

MANY = 300


def registrations(**changes: object) -> ExportSettings:
    return settings_for(**around_now() | changes, type="registrations")


def kinds(context: Context) -> list[tuple[int, str | None]]:
    log = execute(context, "SELECT contact_id, kind FROM contact_change ORDER BY changed_at, contact_id")
    return [(row["contact_id"], row["kind"]) for row in log]


def forget_changes(context: Context) -> None:
    execute(context, "DELETE FROM contact_change")


def many_contacts(context: Context, so_many: int = MANY) -> list[int]:
    execute(
        context,
        "INSERT INTO contact (id, origin_kind, origin_id, children) SELECT n, 'form', 123, n"
        " FROM generate_series(1, %s) AS n",
        (so_many,),
    )
    return list(range(1, so_many + 1))


def test_log_distinguishes_inserts_from_updates(context: Context):
    contact = add_contact(context)
    execute(context, "UPDATE contact SET first_name = 'Anna'")
    assert kinds(context) == [(contact, "c"), (contact, "u")]


def test_upsert_logs_creations_and_changes(context: Context):
    contact = add_contact(context)
    forget_changes(context)
    execute(
        context,
        "INSERT INTO contact (id, first_name) VALUES (%s, 'Anna'), (1000, 'Bert')"
        " ON CONFLICT (id) DO UPDATE SET first_name = excluded.first_name",
        (contact,),
    )
    assert sorted(kinds(context)) == [(contact, "u"), (1000, "c")]


def test_copied_contacts_are_logged_as_created(context: Context):
    with other_session(context) as conn, conn.cursor() as cursor:
        cursor.copy_expert("COPY contact (id) FROM STDIN", io.StringIO("7\n8\n"))
    assert kinds(context) == [(7, "c"), (8, "c")]


@pytest.mark.parametrize("so_many", [1, 2, 100, MANY])
def test_contact_with_a_new_id_is_logged_as_created(context: Context, so_many: int):
    contacts = many_contacts(context, so_many)
    forget_changes(context)
    execute(context, "UPDATE contact SET id = id + 10000 WHERE id = 1")
    assert kinds(context) == [(10001, "c")]
    forget_changes(context)
    execute(context, "UPDATE contact SET id = 1 WHERE id = 10001")
    forget_changes(context)
    execute(context, "UPDATE contact SET id = id + 10000")
    assert kinds(context) == [(contact + 10000, "c") for contact in contacts]


@pytest.mark.parametrize("value", ["'Smith'", "id::text"], ids=["one value for all", "each its own"])
def test_one_new_id_among_many_changes_is_logged_as_created(context: Context, value: str):
    contacts = many_contacts(context)
    forget_changes(context)
    execute(context, f"UPDATE contact SET id = CASE id WHEN {MANY} THEN 5000 ELSE id END, last_name = {value}")
    assert sorted(kinds(context)) == [*((contact, "u") for contact in contacts[:-1]), (5000, "c")]


def test_contacts_that_exchange_ids_are_logged_as_changed(context: Context):
    contacts = many_contacts(context)
    forget_changes(context)
    execute(context, "ALTER TABLE contact DROP CONSTRAINT contact_pkey")
    execute(context, f"UPDATE contact SET id = {MANY + 1} - id, last_name = 'Smith'")
    assert sorted(kinds(context)) == [(contact, "u") for contact in contacts]


def test_month_created_later_stores_the_kind_of_change(context: Context):
    execute(context, "SELECT contact_change_months('2400-01-01', '2400-01-01')")
    execute(context, "INSERT INTO contact_change VALUES (1, 'form', 123, '2400-01-15', 'c')")
    assert execute(context, "SELECT kind FROM contact_change_2400_01") == [{"kind": "c"}]


def test_contacts_that_only_changed_are_no_registrations(context: Context):
    old, new = add_contact(context), add_contact(context)
    execute(context, "DELETE FROM contact_change WHERE contact_id = %s", (old,))
    execute(context, "UPDATE contact SET first_name = 'Anna'")
    assert exported_ids(context, registrations()) == [new]
    assert exported_ids(context, settings_for(**around_now())) == [old, new]


def test_change_of_unknown_kind_is_no_registration(context: Context):
    contact = add_contact(context)
    forget_changes(context)
    change(context, contact, START)
    assert exported_ids(context, settings_for()) == [contact]
    assert exported_ids(context, settings_for(type="registrations")) == []


def test_registration_belongs_to_the_current_origin(context: Context):
    """The origin of its creation does not matter."""
    stayed, moved, away = add_contact(context), add_contact(context, origin_id=124), add_contact(context)
    execute(context, "UPDATE contact SET origin_id = 123 WHERE id = %s", (moved,))
    execute(context, "UPDATE contact SET origin_kind = 'api', origin_id = 456 WHERE id = %s", (away,))
    assert exported_ids(context, registrations()) == [stayed, moved]
    assert exported_ids(context, registrations(origin_ids=(124,))) == []
    assert exported_ids(context, registrations(origin="api", origin_ids=(0, 456))) == [away]
    assert exported_ids(context, registrations(origin="all", origin_ids=())) == [stayed, moved, away]


def test_deleted_contact_is_no_registration(context: Context):
    gone, there = add_contact(context), add_contact(context)
    execute(context, "DELETE FROM contact WHERE id = %s", (gone,))
    assert exported_ids(context, registrations()) == [there]


def test_last_update_of_a_registration_is_its_latest_creation_in_the_window(context: Context):
    """A contact that is deleted and created again has two creations. Later changes do not count."""
    contact = add_contact(context)
    execute(context, "DELETE FROM contact")
    add_contact(context, id=contact)
    execute(context, "UPDATE contact SET first_name = 'Anna'")
    moments = [START + timedelta(hours=hour) for hour in range(3)]
    for moment in moments:
        execute(
            context,
            "UPDATE contact_change SET changed_at = %s WHERE changed_at ="
            " (SELECT min(changed_at) FROM contact_change WHERE changed_at > '2013-01-01')",
            (moment,),
        )
    assert kinds(context) == [(contact, "c"), (contact, "c"), (contact, "u")]

    def last_update(until: datetime) -> list[str]:
        file = export_file(context, settings_for(type="registrations", contact_fields=(1,), end=until))
        return [line[-1] for line in csv.reader(io.StringIO(file.decode()))]

    assert last_update(moments[1]) == ["2012-02-09 00:00:00"]
    assert last_update(moments[2] + timedelta(hours=1)) == ["2012-02-09 01:00:00"]


@pytest.fixture
def many_registered(context: Context, monkeypatch: pytest.MonkeyPatch) -> Context:
    """Every second contact belongs to form 123. One in ten of them only changed, and some are deleted."""
    monkeypatch.setattr(selection, "CONTACTS_WORTH_A_RANGE", 1)
    monkeypatch.setattr(selection, "SAMPLED_ONE_OF", 1)
    execute(
        context,
        "INSERT INTO contact (id, origin_kind, origin_id, first_name)"
        " SELECT n, 'form', 123 + n %% 2, 'Anna ' || n FROM generate_series(1, 4000) AS n",
        {},
    )
    execute(context, "UPDATE contact_change SET kind = 'u' WHERE contact_id %% 20 = 0", {})
    execute(context, "DELETE FROM contact WHERE id IN (2, 400, 3998)")
    execute(context, "ANALYZE contact")
    return context


REGISTERED = [number for number in range(2, 4001, 2) if number % 20 and number not in (2, 3998)]


@pytest.mark.parametrize("readers", [1, 2, 3])
@pytest.mark.parametrize("spreadsheet", [False, True])
def test_registrations_are_the_same_with_any_readers(many_registered: Context, readers: int, spreadsheet: bool):
    context = context_with(many_registered, parallel_readers=readers)
    export = run(context, request(context, registrations(header=False, spreadsheet=spreadsheet)))
    file = (context.settings.storage_dir / export.file_name).read_text(encoding="utf-8-sig")
    assert [int(line.split(",")[0]) for line in file.splitlines()] == REGISTERED
    assert (export.rows, export.rows_expected) == (len(REGISTERED), len(REGISTERED))


def test_few_registrations_are_fetched_by_a_list_of_ids(many_registered: Context):
    execute(many_registered, "UPDATE contact_change SET kind = 'u' WHERE contact_id %% 50 <> 1", {})
    settings = registrations(origin_ids=(124,))
    with many_registered.database.session(snapshot=True) as conn:
        extent = selection.measure(conn, settings, settings.end, 1)
        assert extent.small_part == (conn.server_version >= 180_000)
    assert exported_ids(many_registered, settings) == [*range(1, 4000, 50)]


@pytest.mark.parametrize("sampled_one_of", [1, 64])
def test_expected_rows_count_only_the_origin(context: Context, monkeypatch: pytest.MonkeyPatch, sampled_one_of: int):
    """They do not count all creations: another form may have a hundred times as many."""
    monkeypatch.setattr(selection, "SAMPLED_ONE_OF", sampled_one_of)
    many_contacts(context)
    add_contact(context, id=5000, origin_id=124)
    export_id = request(context, registrations(origin_ids=(124,)))
    run(context, export_id)
    assert (row_of(context, export_id)["rows_expected"], row_of(context, export_id)["rows"]) == (1, 1)


def test_status_and_file_name_show_the_type(context: Context):
    export = run(context, request(context, registrations()))
    assert export.file_name.startswith(f"registrations_{export.id}_en-")
    assert status.payload(context, export)["type"] == "registrations"


def test_changes_and_registrations_are_different_settings(context: Context):
    window = around_now()
    exports = [request(context, settings_for(**window)), request(context, settings_for(**window, type="registrations"))]
    assert [row_of(context, export_id)["status"] for export_id in exports] == ["scheduled", "scheduled"]

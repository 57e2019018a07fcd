"""Exports of type registrations hold the contacts that were created in the window and belong to the origin now."""

import csv
import io
from datetime import datetime, timedelta

import pytest
from exporting import (
    START,
    add_contact,
    around_now,
    backend_with,
    change,
    execute,
    export_file,
    exported_ids,
    other_session,
    request,
    row_of,
    run,
    settings_for,
)

from contactexport.backend import Backend
from contactexport.db import changed_contact_repository
from contactexport.models import ExportSettings
from contactexport.services import track_export

MANY = 300


def registrations(**changes: object) -> ExportSettings:
    return settings_for(**around_now() | changes, type="registrations")


def kinds(backend: Backend) -> list[tuple[int, str | None]]:
    log = execute(backend, "SELECT contact_id, kind FROM contact_change ORDER BY changed_at, contact_id")
    return [(row["contact_id"], row["kind"]) for row in log]


def forget_changes(backend: Backend) -> None:
    execute(backend, "DELETE FROM contact_change")


def many_contacts(backend: Backend, so_many: int = MANY) -> list[int]:
    execute(
        backend,
        "INSERT INTO contact (id, origin_kind, origin_id, children) SELECT n, 'form', 123, n"
        " FROM generate_series(1, %s) AS n",
        (so_many,),
    )
    return list(range(1, so_many + 1))


def test_the_log_tells_an_insert_from_an_update(backend: Backend):
    contact = add_contact(backend)
    execute(backend, "UPDATE contact SET first_name = 'Anna'")
    assert kinds(backend) == [(contact, "c"), (contact, "u")]


def test_an_upsert_logs_what_it_creates_and_what_it_changes(backend: Backend):
    contact = add_contact(backend)
    forget_changes(backend)
    execute(
        backend,
        "INSERT INTO contact (id, first_name) VALUES (%s, 'Anna'), (1000, 'Bert')"
        " ON CONFLICT (id) DO UPDATE SET first_name = excluded.first_name",
        (contact,),
    )
    assert sorted(kinds(backend)) == [(contact, "u"), (1000, "c")]


def test_copied_contacts_are_created(backend: Backend):
    with other_session(backend) as conn, conn.cursor() as cursor:
        cursor.copy_expert("COPY contact (id) FROM STDIN", io.StringIO("7\n8\n"))
    assert kinds(backend) == [(7, "c"), (8, "c")]


@pytest.mark.parametrize("so_many", [1, 2, 100, MANY])
def test_an_id_changed_by_an_update_is_a_created_contact(backend: Backend, so_many: int):
    contacts = many_contacts(backend, so_many)
    forget_changes(backend)
    execute(backend, "UPDATE contact SET id = id + 10000 WHERE id = 1")
    assert kinds(backend) == [(10001, "c")]
    forget_changes(backend)
    execute(backend, "UPDATE contact SET id = 1 WHERE id = 10001")
    forget_changes(backend)
    execute(backend, "UPDATE contact SET id = id + 10000")
    assert kinds(backend) == [(contact + 10000, "c") for contact in contacts]


@pytest.mark.parametrize("value", ["'Smith'", "id::text"], ids=["one value for all", "each its own"])
def test_one_new_id_among_many_changed_contacts_is_told_as_created(backend: Backend, value: str):
    contacts = many_contacts(backend)
    forget_changes(backend)
    execute(backend, f"UPDATE contact SET id = CASE id WHEN {MANY} THEN 5000 ELSE id END, last_name = {value}")
    assert sorted(kinds(backend)) == [*((contact, "u") for contact in contacts[:-1]), (5000, "c")]


def test_contacts_that_exchange_their_ids_are_changed(backend: Backend):
    contacts = many_contacts(backend)
    forget_changes(backend)
    execute(backend, "ALTER TABLE contact DROP CONSTRAINT contact_pkey")
    execute(backend, f"UPDATE contact SET id = {MANY + 1} - id, last_name = 'Smith'")
    assert sorted(kinds(backend)) == [(contact, "u") for contact in contacts]


def test_a_month_made_later_knows_creations(backend: Backend):
    execute(backend, "SELECT contact_change_months('2400-01-01', '2400-01-01')")
    execute(backend, "INSERT INTO contact_change VALUES (1, 'form', 123, '2400-01-15', 'c')")
    assert execute(backend, "SELECT kind FROM contact_change_2400_01") == [{"kind": "c"}]


def test_contacts_that_were_only_changed_are_not_exported(backend: Backend):
    old, new = add_contact(backend), add_contact(backend)
    execute(backend, "DELETE FROM contact_change WHERE contact_id = %s", (old,))
    execute(backend, "UPDATE contact SET first_name = 'Anna'")
    assert exported_ids(backend, registrations()) == [new]
    assert exported_ids(backend, settings_for(**around_now())) == [old, new]


def test_an_entry_of_unknown_kind_is_no_registration(backend: Backend):
    contact = add_contact(backend)
    forget_changes(backend)
    change(backend, contact, START)
    assert exported_ids(backend, settings_for()) == [contact]
    assert exported_ids(backend, settings_for(type="registrations")) == []


def test_a_contact_is_registered_where_it_belongs_now(backend: Backend):
    """Under whatever origin it was created."""
    stayed, moved, away = add_contact(backend), add_contact(backend, origin_id=124), add_contact(backend)
    execute(backend, "UPDATE contact SET origin_id = 123 WHERE id = %s", (moved,))
    execute(backend, "UPDATE contact SET origin_kind = 'api', origin_id = 456 WHERE id = %s", (away,))
    assert exported_ids(backend, registrations()) == [stayed, moved]
    assert exported_ids(backend, registrations(origin_ids=(124,))) == []
    assert exported_ids(backend, registrations(origin="api", origin_ids=(0, 456))) == [away]
    assert exported_ids(backend, registrations(origin="all", origin_ids=())) == [stayed, moved, away]


def test_a_contact_that_was_deleted_is_not_exported(backend: Backend):
    gone, there = add_contact(backend), add_contact(backend)
    execute(backend, "DELETE FROM contact WHERE id = %s", (gone,))
    assert exported_ids(backend, registrations()) == [there]


def test_last_update_is_the_latest_creation_in_the_window(backend: Backend):
    """A contact deleted and made again was created twice, and what changed later does not count."""
    contact = add_contact(backend)
    execute(backend, "DELETE FROM contact")
    add_contact(backend, id=contact)
    execute(backend, "UPDATE contact SET first_name = 'Anna'")
    moments = [START + timedelta(hours=hour) for hour in range(3)]
    for moment in moments:
        execute(
            backend,
            "UPDATE contact_change SET changed_at = %s WHERE changed_at ="
            " (SELECT min(changed_at) FROM contact_change WHERE changed_at > '2013-01-01')",
            (moment,),
        )
    assert kinds(backend) == [(contact, "c"), (contact, "c"), (contact, "u")]

    def last_update(until: datetime) -> list[str]:
        file = export_file(backend, settings_for(type="registrations", contact_fields=(1,), end=until))
        return [line[-1] for line in csv.reader(io.StringIO(file.decode()))]

    assert last_update(moments[1]) == ["2012-02-09 00:00:00"]
    assert last_update(moments[2] + timedelta(hours=1)) == ["2012-02-09 01:00:00"]


@pytest.fixture
def many_registered(backend: Backend, monkeypatch: pytest.MonkeyPatch) -> Backend:
    """Every second one of many belongs to form 123, one in ten of them was only changed; some are gone."""
    monkeypatch.setattr(changed_contact_repository, "CONTACTS_WORTH_A_RANGE", 1)
    monkeypatch.setattr(changed_contact_repository, "SAMPLED_ONE_OF", 1)
    execute(
        backend,
        "INSERT INTO contact (id, origin_kind, origin_id, first_name)"
        " SELECT n, 'form', 123 + n %% 2, 'Anna ' || n FROM generate_series(1, 4000) AS n",
        {},
    )
    execute(backend, "UPDATE contact_change SET kind = 'u' WHERE contact_id %% 20 = 0", {})
    execute(backend, "DELETE FROM contact WHERE id IN (2, 400, 3998)")
    execute(backend, "ANALYZE contact")
    return backend


REGISTERED = [number for number in range(2, 4001, 2) if number % 20 and number not in (2, 3998)]


@pytest.mark.parametrize("readers", [1, 2, 3])
@pytest.mark.parametrize("spreadsheet", [False, True])
def test_large_exports_are_the_same_by_however_many_readers(many_registered: Backend, readers: int, spreadsheet: bool):
    backend = backend_with(many_registered, parallel_readers=readers)
    export = run(backend, request(backend, registrations(header=False, spreadsheet=spreadsheet)))
    file = (backend.settings.storage_dir / export.file_name).read_text(encoding="utf-8-sig")
    assert [int(line.split(",")[0]) for line in file.splitlines()] == REGISTERED
    assert (export.rows, export.rows_expected) == (len(REGISTERED), len(REGISTERED))


def test_few_of_all_are_fetched_by_a_list_of_ids(many_registered: Backend):
    execute(many_registered, "UPDATE contact_change SET kind = 'u' WHERE contact_id %% 50 <> 1", {})
    settings = registrations(origin_ids=(124,))
    with many_registered.database.session(snapshot=True) as conn:
        extent = changed_contact_repository.measure(conn, settings, settings.end, 1)
        assert extent.small_part == (conn.server_version >= 180_000)
    assert exported_ids(many_registered, settings) == [*range(1, 4000, 50)]


@pytest.mark.parametrize("sampled_one_of", [1, 64])
def test_rows_expected_are_those_of_the_origin(backend: Backend, monkeypatch: pytest.MonkeyPatch, sampled_one_of: int):
    """Not all that were created: another form may have a hundred times as many."""
    monkeypatch.setattr(changed_contact_repository, "SAMPLED_ONE_OF", sampled_one_of)
    many_contacts(backend)
    add_contact(backend, id=5000, origin_id=124)
    export_id = request(backend, registrations(origin_ids=(124,)))
    run(backend, export_id)
    assert (row_of(backend, export_id)["rows_expected"], row_of(backend, export_id)["rows"]) == (1, 1)


def test_the_status_and_the_name_of_the_file_tell_the_type(backend: Backend):
    export = run(backend, request(backend, registrations()))
    assert export.file_name.startswith(f"registrations_{export.id}_en-")
    assert track_export.payload(backend, export)["type"] == "registrations"


def test_changes_and_registrations_are_two_settings(backend: Backend):
    window = around_now()
    exports = [request(backend, settings_for(**window)), request(backend, settings_for(**window, type="registrations"))]
    assert [row_of(backend, export_id)["status"] for export_id in exports] == ["scheduled", "scheduled"]

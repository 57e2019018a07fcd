"""Few contacts of many are fetched by a list of their ids, which must not show in the file."""

import pytest
from exporting import START, backend_with, execute, export_file, settings_for

from contactexport.backend import Backend
from contactexport.db import catalogue_repository, changed_contact_repository
from contactexport.db.changed_contact_repository import Selection

CONTACTS = 4_000
EVERY = 20


@pytest.fixture
def few_changed(backend: Backend) -> Backend:
    """One of 20 has changed, some of them twice; some are gone, and some belong to another form by now."""
    execute(
        backend,
        "INSERT INTO contact (id, origin_kind, origin_id, first_name, gender)"
        " SELECT n, 'form', 123, 'Anna ' || n, n %% 3 FROM generate_series(1, %s) AS n",
        (CONTACTS,),
    )
    execute(backend, "DELETE FROM contact_change")
    changed_every(backend, EVERY)
    changed_every(backend, 7 * EVERY)
    execute(backend, "DELETE FROM contact WHERE id IN (20, 400, 4000)")
    execute(backend, "UPDATE contact SET origin_id = 17 WHERE id IN (40, 420)")
    execute(backend, "ANALYZE contact")
    return backend


def changed_every(backend: Backend, so_many: int) -> None:
    execute(
        backend,
        "INSERT INTO contact_change (contact_id, origin_kind, origin_id, changed_at)"
        " SELECT id, origin_kind, origin_id, CAST(%s AS timestamptz) + id * interval '1 s'"
        " FROM contact WHERE id %% %s = 0",
        (START, so_many),
    )


def is_small_part(backend: Backend) -> bool:
    settings = settings_for()
    with backend.database.session(snapshot=True) as conn:
        return changed_contact_repository.measure(conn, settings, settings.end, 2).small_part


def takes_lists(backend: Backend) -> bool:
    with backend.database.session() as conn:
        return conn.server_version >= 180_000


@pytest.mark.parametrize("readers", [1, 2, 3])
def test_the_file_is_the_same_as_by_walking_past_all(
    few_changed: Backend, readers: int, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(changed_contact_repository, "CONTACTS_WORTH_A_RANGE", 1)
    monkeypatch.setattr(changed_contact_repository, "SAMPLED_ONE_OF", 1)
    backend = backend_with(few_changed, parallel_readers=readers)
    assert is_small_part(backend) == takes_lists(backend)
    by_ids = export_file(backend, settings_for(contact_fields=(1, 5)))
    monkeypatch.setattr(changed_contact_repository, "LONGEST_ID_LIST", 0)
    assert not is_small_part(backend)
    assert by_ids == export_file(backend, settings_for(contact_fields=(1, 5)))
    assert by_ids.count(b"Anna") == CONTACTS // EVERY - 5


def test_nothing_changed_is_an_empty_list(few_changed: Backend):
    execute(few_changed, "DELETE FROM contact_change")
    assert export_file(few_changed, settings_for(header=False)) == b""


def test_contacts_are_fetched_in_one_pass_and_not_sorted(few_changed: Backend):
    """Whatever the planner thinks of a list whose length it does not know."""
    if not takes_lists(few_changed):
        pytest.skip("lists are for Postgres 18 and later")
    settings = settings_for(contact_fields=(1, 5))
    with few_changed.database.session(snapshot=True) as conn, conn.cursor() as cursor:
        fields = [catalogue_repository.read(conn).fields[field] for field in settings.contact_fields]
        selection = Selection(settings, fields, settings.end, "UTC", small_part=True)
        changed_contact_repository.prepare_reading(conn, selection)
        statement, values = changed_contact_repository.rows_query(selection)
        cursor.execute("EXPLAIN (COSTS OFF) " + statement.as_string(conn), values)
        plan = [row["QUERY PLAN"].strip(" ->") for row in cursor]
    assert plan[0] == "Merge Join"
    assert "Index Scan using contact_pkey on contact c" in plan
    assert any(line.startswith("Index Cond: (id = ANY ((InitPlan") for line in plan)


@pytest.mark.parametrize(
    "why_not",
    [
        "UPDATE pg_class SET reltuples = -1 WHERE oid = 'contact'::regclass",
        "ALTER TABLE contact RENAME TO customer; CREATE VIEW contact AS SELECT * FROM customer",
        "ALTER TABLE contact DROP CONSTRAINT contact_pkey; CREATE INDEX ON contact (first_name, id)",
    ],
    ids=["of a table that has not been analyzed", "of a view", "without an index by id"],
)
def test_contacts_are_walked_past_where_a_list_may_not_help(few_changed: Backend, why_not: str):
    execute(few_changed, why_not)
    assert not is_small_part(few_changed)


def test_many_of_all_are_walked_past(few_changed: Backend):
    changed_every(few_changed, 5)
    assert not is_small_part(few_changed)


def test_new_contacts_side_by_side_are_walked_past(few_changed: Backend):
    execute(few_changed, "DELETE FROM contact_change")
    execute(
        few_changed,
        "INSERT INTO contact_change (contact_id, origin_kind, origin_id, changed_at)"
        " SELECT id, origin_kind, origin_id, %s FROM contact WHERE id BETWEEN 2000 AND 2300",
        (START,),
    )
    assert not is_small_part(few_changed)

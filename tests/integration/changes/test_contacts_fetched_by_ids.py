"""Few contacts of many are fetched by a list of ids. The file is the same as without the list."""

import pytest

from contactexport.catalogue import Catalogue
from contactexport.changes import selection as changed_contacts
from contactexport.changes.selection import Selection
from contactexport.context import Context
from contactexport.db.queries import queries
from tests.support.exporting import START, context_with, execute, export_file, settings_for

CONTACTS = 4_000
EVERY = 20


@pytest.fixture
def few_changed(context: Context) -> Context:
    """One of 20 has changed, some of them twice. Some are deleted, some have moved to another form."""
    execute(
        context,
        "INSERT INTO contact (id, origin_kind, origin_id, first_name, gender)"
        " SELECT n, 'form', 123, 'Anna ' || n, n %% 3 FROM generate_series(1, %s) AS n",
        (CONTACTS,),
    )
    execute(context, "DELETE FROM contact_change")
    changed_every(context, EVERY)
    changed_every(context, 7 * EVERY)
    execute(context, "DELETE FROM contact WHERE id IN (20, 400, 4000)")
    execute(context, "UPDATE contact SET origin_id = 17 WHERE id IN (40, 420)")
    execute(context, "ANALYZE contact")
    return context


def changed_every(context: Context, so_many: int) -> None:
    execute(
        context,
        "INSERT INTO contact_change (contact_id, origin_kind, origin_id, changed_at)"
        " SELECT id, origin_kind, origin_id, CAST(%s AS timestamptz) + id * interval '1 s'"
        " FROM contact WHERE id %% %s = 0",
        (START, so_many),
    )


def is_small_part(context: Context) -> bool:
    settings = settings_for()
    with context.database.session(snapshot=True) as conn:
        return changed_contacts.measure(conn, settings, settings.end, 2).small_part


def takes_lists(context: Context) -> bool:
    with context.database.session() as conn:
        return conn.server_version >= 180_000


@pytest.mark.parametrize("readers", [1, 2, 3])
def test_file_is_the_same_with_and_without_the_list_of_ids(
    few_changed: Context, readers: int, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(changed_contacts, "CONTACTS_WORTH_A_RANGE", 1)
    monkeypatch.setattr(changed_contacts, "SAMPLED_ONE_OF", 1)
    context = context_with(few_changed, parallel_readers=readers)
    assert is_small_part(context) == takes_lists(context)
    by_ids = export_file(context, settings_for(contact_fields=(1, 5)))
    monkeypatch.setattr(changed_contacts, "LONGEST_ID_LIST", 0)
    assert not is_small_part(context)
    assert by_ids == export_file(context, settings_for(contact_fields=(1, 5)))
    assert by_ids.count(b"Anna") == CONTACTS // EVERY - 5


def test_export_without_changes_is_empty(few_changed: Context):
    execute(few_changed, "DELETE FROM contact_change")
    assert export_file(few_changed, settings_for(header=False)) == b""


def test_contacts_are_fetched_in_one_pass_and_not_sorted_again(few_changed: Context):
    """The planner does not know how long the list is, so it must be told."""
    if not takes_lists(few_changed):
        pytest.skip("lists are for Postgres 18 and later")
    settings = settings_for(contact_fields=(1, 5))
    with few_changed.database.session(snapshot=True) as conn, conn.cursor() as cursor:
        fields = [Catalogue.read(conn).fields[field] for field in settings.contact_fields]
        selection = Selection(settings, fields, settings.end, "UTC", small_part=True)
        queries("changed_contact").prepare_reading(conn, small_part=True, time_zone="UTC")
        statement, values = changed_contacts.rows_query(selection)
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
def test_list_of_ids_is_not_used_where_it_may_not_help(few_changed: Context, why_not: str):
    execute(few_changed, why_not)
    assert not is_small_part(few_changed)


def test_list_of_ids_is_not_used_when_many_contacts_changed(few_changed: Context):
    changed_every(few_changed, 5)
    assert not is_small_part(few_changed)


def test_list_of_ids_is_not_used_for_new_contacts_side_by_side(few_changed: Context):
    execute(few_changed, "DELETE FROM contact_change")
    execute(
        few_changed,
        "INSERT INTO contact_change (contact_id, origin_kind, origin_id, changed_at)"
        " SELECT id, origin_kind, origin_id, %s FROM contact WHERE id BETWEEN 2000 AND 2300",
        (START,),
    )
    assert not is_small_part(few_changed)

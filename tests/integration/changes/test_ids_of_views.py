"""Each contact has its own id. A view with repeated or missing ids fails the export with the reason."""

import pytest

from contactexport.changes import unfit_contact
from contactexport.contacts import table as contact_table
from contactexport.context import Context
from contactexport.exports.deliver import stored_file
from tests.support.exporting import contact_changed, execute, export_file, exported_ids, request, run, settings_for
from tests.support.readers import WAYS, reading


@pytest.fixture
def contacts(context: Context) -> list[int]:
    ids = [contact_changed(context, first_name="Anna") for _ in range(40)]
    execute(context, "ALTER TABLE contact RENAME TO customer")
    return ids


def view(context: Context, query: str) -> None:
    execute(context, f"CREATE VIEW contact AS {query}")


def failure(context: Context, **changes) -> str:
    failed = run(context, request(context, settings_for(**changes)))
    assert (failed.status, failed.attempt) == ("error", 1)
    assert not stored_file(context, failed).exists()
    return failed.error


@pytest.mark.parametrize("way", WAYS)
def test_repeated_id_is_named(context: Context, contacts: list[int], monkeypatch, way):
    context, changes = reading(context, way, monkeypatch)
    first, second = contacts[30], contacts[35]
    view(context, f"SELECT * FROM customer UNION ALL SELECT * FROM customer WHERE id IN ({first}, {second})")
    assert failure(context, **changes) == f"Contact {first} is there more than once: ids in `contact` must be unique"


def test_repeated_id_outside_the_export_does_not_matter(context: Context, contacts: list[int]):
    execute(
        context, "INSERT INTO customer (id, origin_kind, origin_id) VALUES (1000, 'form', 124), (1001, 'form', 123)"
    )
    view(context, "SELECT * FROM customer UNION ALL SELECT * FROM customer WHERE id >= 1000")
    assert exported_ids(context, settings_for()) == contacts


@pytest.mark.parametrize("way", WAYS)
def test_contact_without_id_fails_the_export(context: Context, contacts: list[int], monkeypatch, way):
    context, changes = reading(context, way, monkeypatch)
    view(context, f"SELECT nullif(id, {contacts[3]}) AS id, origin_kind, origin_id, first_name, email FROM customer")
    assert failure(context, **changes) == (
        "A contact has no id: each row of `contact` needs a whole number of its own in `id`"
    )


def test_contact_without_id_of_another_origin_does_not_matter(context: Context, contacts: list[int]):
    execute(context, "INSERT INTO customer (id, origin_kind, origin_id) VALUES (1000, 'form', 124)")
    view(context, "SELECT nullif(id, 1000) AS id, origin_kind, origin_id, first_name, email FROM customer")
    assert exported_ids(context, settings_for()) == contacts
    assert "no id" in failure(context, origin="all", origin_ids=())


@pytest.mark.parametrize("way", WAYS)
def test_view_with_unique_ids_gives_the_same_file_as_a_table(context: Context, contacts, monkeypatch, way):
    context, changes = reading(context, way, monkeypatch)
    view(context, "SELECT * FROM customer")
    by_view = export_file(context, settings_for(**changes))
    execute(context, "DROP VIEW contact; ALTER TABLE customer RENAME TO contact")
    assert by_view == export_file(context, settings_for(**changes))
    assert by_view.count(b"Anna") == len(contacts)


WITHOUT_KEY = "ALTER TABLE contact DROP CONSTRAINT contact_pkey; "


@pytest.mark.parametrize(
    ("table", "unique"),
    [
        ("SELECT", True),
        (WITHOUT_KEY + "CREATE UNIQUE INDEX ON contact (id) INCLUDE (email)", True),
        (WITHOUT_KEY, False),
        (WITHOUT_KEY + "CREATE UNIQUE INDEX ON contact (id, email)", False),
        (WITHOUT_KEY + "CREATE UNIQUE INDEX ON contact (id) WHERE id > 5", False),
        (WITHOUT_KEY + "CREATE UNIQUE INDEX ON contact ((id + 1))", False),
        (
            WITHOUT_KEY + "CREATE UNIQUE INDEX ON contact (id);"
            "ALTER TABLE contact ALTER id DROP IDENTITY, ALTER id DROP NOT NULL",
            False,
        ),
        ("CREATE TABLE contact_of_a_shop () INHERITS (contact)", False),
        ("ALTER TABLE contact RENAME TO customer; CREATE VIEW contact AS SELECT * FROM customer", False),
    ],
    ids=["key", "index", "none", "two columns", "some rows", "expression", "may be empty", "inherited", "view"],
)
def test_only_a_unique_index_proves_that_ids_are_unique(context: Context, table: str, unique: bool):
    execute(context, table)
    with context.contacts.session() as conn:
        assert contact_table.describe(conn).ids_are_unique == unique


def test_repeated_id_in_an_inheriting_table_is_named(context: Context):
    number = contact_changed(context)
    execute(context, "CREATE TABLE contact_of_a_shop () INHERITS (contact)")
    execute(context, "INSERT INTO contact_of_a_shop (id, origin_kind, origin_id) VALUES (%s, 'form', 123)", (number,))
    assert f"Contact {number} is there more than once" in failure(context)


def test_table_with_a_key_is_not_searched(context: Context, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(unfit_contact, "has_contact_without_id", None)
    number = contact_changed(context)
    assert exported_ids(context, settings_for()) == [number]

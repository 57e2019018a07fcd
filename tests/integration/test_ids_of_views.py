"""Each contact has an id of its own: a view in which one repeats, or is missing, ends the export with the reason."""

import pytest
from exporting import contact_changed, execute, export_file, exported_ids, request, run, settings_for
from readers import WAYS, reading

from contactexport.backend import Backend
from contactexport.db import contact_table, unfit_contact_repository
from contactexport.services.deliver_export import stored_file


@pytest.fixture
def contacts(backend: Backend) -> list[int]:
    ids = [contact_changed(backend, first_name="Anna") for _ in range(40)]
    execute(backend, "ALTER TABLE contact RENAME TO customer")
    return ids


def view(backend: Backend, query: str) -> None:
    execute(backend, f"CREATE VIEW contact AS {query}")


def failure(backend: Backend, **changes) -> str:
    failed = run(backend, request(backend, settings_for(**changes)))
    assert (failed.status, failed.attempt) == ("error", 1)
    assert not stored_file(backend, failed).exists()
    return failed.error


@pytest.mark.parametrize("way", WAYS)
def test_an_id_that_repeats_is_named(backend: Backend, contacts: list[int], monkeypatch, way):
    backend, changes = reading(backend, way, monkeypatch)
    first, second = contacts[30], contacts[35]
    view(backend, f"SELECT * FROM customer UNION ALL SELECT * FROM customer WHERE id IN ({first}, {second})")
    assert failure(backend, **changes) == f"Contact {first} is there more than once: ids in `contact` must be unique"


def test_an_id_that_repeats_among_contacts_that_are_not_asked_for_does_not_matter(
    backend: Backend, contacts: list[int]
):
    execute(
        backend, "INSERT INTO customer (id, origin_kind, origin_id) VALUES (1000, 'form', 124), (1001, 'form', 123)"
    )
    view(backend, "SELECT * FROM customer UNION ALL SELECT * FROM customer WHERE id >= 1000")
    assert exported_ids(backend, settings_for()) == contacts


@pytest.mark.parametrize("way", WAYS)
def test_a_contact_without_an_id_is_told(backend: Backend, contacts: list[int], monkeypatch, way):
    backend, changes = reading(backend, way, monkeypatch)
    view(backend, f"SELECT nullif(id, {contacts[3]}) AS id, origin_kind, origin_id, first_name, email FROM customer")
    assert failure(backend, **changes) == (
        "A contact has no id: each row of `contact` needs a whole number of its own in `id`"
    )


def test_a_contact_without_an_id_of_another_origin_does_not_matter(backend: Backend, contacts: list[int]):
    execute(backend, "INSERT INTO customer (id, origin_kind, origin_id) VALUES (1000, 'form', 124)")
    view(backend, "SELECT nullif(id, 1000) AS id, origin_kind, origin_id, first_name, email FROM customer")
    assert exported_ids(backend, settings_for()) == contacts
    assert "no id" in failure(backend, origin="all", origin_ids=())


@pytest.mark.parametrize("way", WAYS)
def test_a_view_whose_ids_are_unique_makes_the_same_file_as_a_table(backend: Backend, contacts, monkeypatch, way):
    backend, changes = reading(backend, way, monkeypatch)
    view(backend, "SELECT * FROM customer")
    by_view = export_file(backend, settings_for(**changes))
    execute(backend, "DROP VIEW contact; ALTER TABLE customer RENAME TO contact")
    assert by_view == export_file(backend, settings_for(**changes))
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
def test_only_an_index_makes_sure_that_ids_are_unique(backend: Backend, table: str, unique: bool):
    execute(backend, table)
    with backend.contacts.session() as conn:
        assert contact_table.describe(conn).ids_are_unique == unique


def test_a_child_that_has_the_id_of_another_contact_is_named(backend: Backend):
    number = contact_changed(backend)
    execute(backend, "CREATE TABLE contact_of_a_shop () INHERITS (contact)")
    execute(backend, "INSERT INTO contact_of_a_shop (id, origin_kind, origin_id) VALUES (%s, 'form', 123)", (number,))
    assert f"Contact {number} is there more than once" in failure(backend)


def test_a_table_with_a_key_is_not_searched(backend: Backend, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(unfit_contact_repository, "has_contact_without_id", None)
    number = contact_changed(backend)
    assert exported_ids(backend, settings_for()) == [number]

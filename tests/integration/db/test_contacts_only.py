"""A database of contacts gets what reading needs, and no tables of exports and users."""

from collections.abc import Iterator

import pytest

from contactexport.context import Context
from contactexport.db import migrate
from contactexport.errors import SchemaMismatch
from tests.support.empty_databases import empty_database
from tests.support.exporting import around_now, context_with, execute, exported_ids, settings_for

TABLES = """
    SELECT array_agg(relname::text ORDER BY relname) AS names FROM pg_class
    WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p') AND NOT relispartition"""
FUNCTIONS = """
    SELECT count(*) AS n FROM pg_proc WHERE pronamespace = 'public'::regnamespace AND proname ~ 'export|user'"""
NEEDED = [
    "adopted", "adopted_failure", "adopted_table", "catalogue_version", "contact", "contact_change", "contact_field",
    "contact_field_choice", "contact_log_horizon", "contact_removal", "contactexport_checksum",
    "contactexport_version", "origin",
]  # fmt: skip


@pytest.fixture
def apart(context: Context, database_name: str) -> Iterator[tuple[Context, Context]]:
    """A context whose contacts are in a database of their own, and one for that database."""
    with empty_database(context, f"{database_name}_contacts") as contacts:
        yield context_with(context, contacts_database_url=contacts.database.url), contacts


def test_contacts_database_has_no_tables_of_exports(apart: tuple[Context, Context]):
    both, contacts = apart
    for _ in range(2):
        for database in both.databases:
            migrate.upgrade(database)
            migrate.check(database)
            assert migrate.differences(database) == []
    assert execute(contacts, TABLES)[0]["names"] == NEEDED
    assert execute(contacts, FUNCTIONS)[0]["n"] == 0
    execute(
        contacts,
        "INSERT INTO origin VALUES ('form', 123, 'Newsletter');"
        "INSERT INTO contact_field VALUES (1, 'First Name', 'shorttext', 'first_name');"
        "INSERT INTO contact_field VALUES (3, 'E-Mail', 'longtext', 'email');"
        "INSERT INTO contact (origin_kind, origin_id) VALUES ('form', 123)",
    )
    assert exported_ids(both, settings_for(**around_now())) == [1]


def test_exports_are_not_stored_where_only_contacts_are(apart: tuple[Context, Context]):
    both, contacts = apart
    migrate.upgrade(both.contacts)
    for work in (migrate.upgrade, migrate.check):
        with pytest.raises(SchemaMismatch, match="has contacts only, made by CONTACTEXPORT_CONTACTS_DATABASE_URL"):
            work(contacts.database)


def test_one_database_for_both_keeps_all_tables(context: Context, database_name: str):
    """However its URL is spelled the second time."""
    with empty_database(context, f"{database_name}_both") as made:
        both = context_with(made, contacts_database_url=made.database.url + "&application_name=x")
        for database in both.databases:
            migrate.upgrade(database)
        assert "export" in execute(made, TABLES)[0]["names"]


def test_missing_part_of_a_contacts_database_is_named(apart: tuple[Context, Context]):
    both, contacts = apart
    migrate.upgrade(both.contacts)
    execute(contacts, "DROP TABLE contact_log_horizon")
    assert "table contact_log_horizon" in migrate.differences(both.contacts)

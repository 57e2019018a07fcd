"""An export fails, with the reason and the remedy, if Postgres would hide some contacts from it."""

from collections.abc import Iterator
from datetime import date

import pytest

from contactexport.catalogue import Catalogue
from contactexport.context import Context
from contactexport.errors import ContactsIncomplete
from contactexport.exports import sweep
from tests.support.exporting import (
    START,
    contact_changed,
    execute,
    export_file,
    exported_ids,
    request,
    row_of,
    run,
    settings_for,
)
from tests.support.readers import WAYS, as_role, reading, role
from tests.support.sql_rows import for_all_sessions


@pytest.fixture
def contacts(context: Context) -> list[int]:
    return [contact_changed(context, gender=1) for _ in range(10)]


@pytest.fixture
def reader(context: Context) -> Iterator[str]:
    with role(context) as name:
        yield name


def hide(context: Context, table: str, condition: str = "false") -> None:
    execute(context, f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY; CREATE POLICY p ON {table} USING ({condition})")


def needs_version_15(context: Context) -> None:
    if execute(context, "SELECT current_setting('server_version_num')::integer < 150000 AS old")[0]["old"]:
        pytest.skip("views have no invoker's rights before 15")


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("table", ["contact", "contact_change", "contact_field", "contact_field_choice"])
def test_row_level_policy_on_a_table_fails_the_export_at_once(context, contacts, reader, monkeypatch, table, way):
    context, changes = reading(context, way, monkeypatch)
    settings = settings_for(contact_fields=(5,), **changes)
    export_id = request(context, settings)
    hide(context, table, "true" if table == "contact_field" else "false")
    failed = run(as_role(context, reader), export_id)
    assert (failed.status, failed.attempt) == ("error", 1)
    assert f'"{table}"' in failed.error
    assert "ALTER ROLE … BYPASSRLS" in failed.error
    assert sweep.sweep(context) == 0
    execute(context, f"ALTER ROLE {reader} BYPASSRLS")
    assert export_file(as_role(context, reader), settings).count(b"Male") == len(contacts)


@pytest.mark.parametrize("invoker", [False, True], ids=["owner", "invoker"])
def test_row_level_policy_on_a_table_under_the_view_fails_the_export(context, contacts, reader, invoker):
    if invoker:
        needs_version_15(context)
    owner = f"owner_of_{reader}"
    execute(
        context, f"ALTER TABLE contact RENAME TO customer; CREATE ROLE {owner}; GRANT SELECT ON customer TO {owner}"
    )
    try:
        execute(context, "CREATE VIEW contact AS SELECT * FROM customer")
        if invoker:
            execute(context, f"ALTER VIEW contact SET (security_invoker); GRANT SELECT ON customer TO {reader}")
        execute(context, f"ALTER VIEW contact OWNER TO {owner}; GRANT SELECT ON contact TO {reader}")
        hide(context, "customer")
        failed = run(as_role(context, reader), request(context, settings_for()))
        assert failed.status == "error"
        assert '"customer"' in failed.error
        execute(context, f"ALTER ROLE {reader if invoker else owner} BYPASSRLS")
        assert exported_ids(as_role(context, reader), settings_for()) == contacts
    finally:
        execute(context, f"DROP VIEW contact; DROP OWNED BY {owner}; DROP ROLE {owner}")


def test_owner_with_forced_row_level_policies_is_refused(context, contacts, reader):
    execute(context, f"ALTER TABLE contact OWNER TO {reader}")
    hide(context, "contact")
    assert exported_ids(as_role(context, reader), settings_for()) == contacts
    execute(context, "ALTER TABLE contact FORCE ROW LEVEL SECURITY")
    failed = run(as_role(context, reader), request(context, settings_for()))
    assert (failed.status, '"contact"' in failed.error) == ("error", True)


def test_partly_hidden_catalogue_raises_instead_of_being_shorter(context, reader):
    hide(context, "contact_field", "id < 10")
    hidden = as_role(context, reader).contacts
    with pytest.raises(ContactsIncomplete, match='"contact_field"'), hidden.transaction() as conn:
        Catalogue.read(conn)
    hidden.close()


def test_import_that_cannot_see_every_contact_fails(context, contacts, reader, tmp_path, runner, app):
    execute(context, f"GRANT INSERT, UPDATE ON contact TO {reader}")
    hide(context, "contact", "id < 5")
    app.extensions["contactexport"] = as_role(context, reader)
    (tmp_path / "people.csv").write_text("E-Mail,First Name\njo@example.com,Jo\n")
    result = runner.invoke(args=["contacts", "import", str(tmp_path / "people.csv"), "--origin", "form:123"])
    assert result.exit_code == 1
    assert 'row-level security policy for table "contact"' in result.stderr
    assert "ALTER ROLE … BYPASSRLS" in result.stderr


@pytest.mark.parametrize("invoker", [False, True], ids=["owner", "invoker"])
def test_missing_right_is_named_and_nothing_is_exported(context, contacts, reader, invoker):
    if invoker:
        needs_version_15(context)
        execute(context, "ALTER TABLE contact RENAME TO customer; CREATE VIEW contact AS SELECT * FROM customer")
        execute(context, f"ALTER VIEW contact SET (security_invoker); GRANT SELECT ON contact TO {reader}")
        execute(context, f"REVOKE ALL ON customer FROM {reader}")
    else:
        execute(context, f"REVOKE ALL ON contact FROM {reader}; GRANT SELECT (id, origin_kind) ON contact TO {reader}")
    export_id = request(context, settings_for())
    postponed = run(as_role(context, reader), export_id)
    assert (postponed.status, postponed.run_attempts) == ("in progress", 1)
    table = "customer" if invoker else "contact"
    assert postponed.error == f"The contacts database refuses this user: permission denied for table {table}"
    assert row_of(context, export_id)["rows"] is None


def test_export_needs_no_rights_on_partitions(context, reader):
    execute(context, "ALTER TABLE contact RENAME TO customer")
    execute(context, "CREATE TABLE contact (LIKE customer INCLUDING ALL) PARTITION BY HASH (id)")
    for number in range(3):
        execute(
            context,
            f"CREATE TABLE contact_{number} PARTITION OF contact FOR VALUES WITH (MODULUS 3, REMAINDER {number});"
            f"REVOKE ALL ON contact_{number} FROM {reader}",
        )
    execute(context, f"GRANT SELECT ON contact TO {reader}")
    execute(
        context, "INSERT INTO contact (id, origin_kind, origin_id) SELECT n, 'form', 123 FROM generate_series(1, 9) n"
    )
    execute(context, "INSERT INTO contact_change SELECT id, origin_kind, origin_id, %s FROM contact", (START,))
    assert exported_ids(as_role(context, reader), settings_for()) == [*range(1, 10)]


def test_rows_of_inheriting_tables_are_exported(context, contacts):
    execute(context, "CREATE TABLE contact_of_a_shop (PRIMARY KEY (id)) INHERITS (contact)")
    execute(context, "INSERT INTO contact_of_a_shop (id, origin_kind, origin_id) VALUES (1000, 'form', 123)")
    execute(context, "INSERT INTO contact_change VALUES (1000, 'form', 123, %s)", (START,))
    assert exported_ids(context, settings_for()) == [*contacts, 1000]


@pytest.mark.parametrize("schema", ["other", "pg_temp"])
@pytest.mark.parametrize("table", ["contact", "contact_field", "contact_field_choice"])
def test_table_of_the_same_name_in_another_schema_hides_no_contacts(context, contacts, schema, table):
    expected = export_file(context, settings_for(contact_fields=(5,)))
    assert len(expected.splitlines()) == len(contacts)
    if schema == "other":
        execute(context, f"CREATE SCHEMA other; CREATE TABLE other.{table} AS SELECT * FROM {table} LIMIT 3")
        for_all_sessions(context.database, "SET search_path = other, public")
    else:  # left behind in a pooled session by another program
        with context.database.reusable_session() as first, context.database.reusable_session() as second:
            for conn in (first, second):
                with conn.cursor() as cursor:
                    cursor.execute(f"CREATE TEMPORARY TABLE {table} AS SELECT * FROM public.{table} LIMIT 3")
    assert export_file(context, settings_for(contact_fields=(5,))) == expected


def test_import_writes_no_table_of_another_schema(context, tmp_path, runner, app):
    execute(context, "CREATE SCHEMA other; CREATE TABLE other.contact (LIKE contact INCLUDING ALL)")
    for_all_sessions(context.database, "SET search_path = other, public")
    app.extensions["contactexport"] = context
    (tmp_path / "people.csv").write_text("E-Mail\njo@example.com\n")
    result = runner.invoke(args=["contacts", "import", str(tmp_path / "people.csv"), "--origin", "form:123"])
    assert result.exit_code == 0, result.stderr
    assert execute(context, "SELECT count(*) AS n FROM other.contact") == [{"n": 0}]
    assert execute(context, "SELECT count(*) AS n FROM public.contact") == [{"n": 1}]


def test_index_search_finds_every_contact_despite_a_fuzzy_limit(context):
    """A setting tells Postgres to stop an index search after some rows, without an error."""
    execute(
        context,
        "INSERT INTO contact (id, origin_kind, origin_id, interests)"
        " SELECT n, 'form', 123, ARRAY[1] FROM generate_series(1, 30000) AS n",
    )
    execute(context, "UPDATE contact_change SET changed_at = %s", (START,))
    execute(
        context,
        "ALTER TABLE contact RENAME TO customer; ALTER TABLE customer DROP CONSTRAINT contact_pkey;"
        "CREATE INDEX ON customer USING gin (interests); ANALYZE customer;"
        "CREATE VIEW contact AS SELECT * FROM customer WHERE interests @> ARRAY[1]",
    )
    for setting in ("gin_fuzzy_search_limit = 100", "enable_seqscan = off"):
        for_all_sessions(context.database, f"SET {setting}")
    assert len(exported_ids(context, settings_for())) == 30_000


def test_import_is_logged_although_the_role_disables_triggers(context, tmp_path, runner, app):
    for_all_sessions(context.database, "SET session_replication_role = replica")
    app.extensions["contactexport"] = context
    (tmp_path / "people.csv").write_text("E-Mail,Date of Birth\njo@example.com,1984-02-29\n")
    result = runner.invoke(args=["contacts", "import", str(tmp_path / "people.csv"), "--origin", "form:123"])
    assert result.exit_code == 0, result.stderr
    assert execute(context, "SELECT count(*) AS n FROM contact_change") == [{"n": 1}]
    assert execute(context, "SELECT date_of_birth AS d FROM contact") == [{"d": date(1984, 2, 29)}]

"""Whatever would have an export see fewer contacts than there are ends it, with the reason and the remedy."""

from collections.abc import Iterator
from datetime import date

import pytest
from exporting import START, contact_changed, execute, export_file, exported_ids, request, row_of, run, settings_for
from readers import WAYS, as_role, reading, role
from sql_rows import for_all_sessions

from contactexport.backend import Backend
from contactexport.db import catalogue_repository
from contactexport.errors import ContactsIncomplete
from contactexport.services import sweep_exports


@pytest.fixture
def contacts(backend: Backend) -> list[int]:
    return [contact_changed(backend, gender=1) for _ in range(10)]


@pytest.fixture
def reader(backend: Backend) -> Iterator[str]:
    with role(backend) as name:
        yield name


def hide(backend: Backend, table: str, condition: str = "false") -> None:
    execute(backend, f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY; CREATE POLICY p ON {table} USING ({condition})")


def needs_version_15(backend: Backend) -> None:
    if execute(backend, "SELECT current_setting('server_version_num')::integer < 150000 AS old")[0]["old"]:
        pytest.skip("views have no invoker's rights before 15")


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("table", ["contact", "contact_change", "contact_field", "contact_field_choice"])
def test_a_policy_on_a_table_ends_the_export_at_once(backend, contacts, reader, monkeypatch, table, way):
    backend, changes = reading(backend, way, monkeypatch)
    settings = settings_for(contact_fields=(5,), **changes)
    export_id = request(backend, settings)
    hide(backend, table, "true" if table == "contact_field" else "false")
    failed = run(as_role(backend, reader), export_id)
    assert (failed.status, failed.attempt) == ("error", 1)
    assert f'"{table}"' in failed.error
    assert "ALTER ROLE … BYPASSRLS" in failed.error
    assert sweep_exports.sweep(backend) == 0
    execute(backend, f"ALTER ROLE {reader} BYPASSRLS")
    assert export_file(as_role(backend, reader), settings).count(b"Male") == len(contacts)


@pytest.mark.parametrize("invoker", [False, True], ids=["owner", "invoker"])
def test_a_policy_on_a_table_under_the_view_ends_the_export(backend, contacts, reader, invoker):
    if invoker:
        needs_version_15(backend)
    owner = f"owner_of_{reader}"
    execute(
        backend, f"ALTER TABLE contact RENAME TO customer; CREATE ROLE {owner}; GRANT SELECT ON customer TO {owner}"
    )
    try:
        execute(backend, "CREATE VIEW contact AS SELECT * FROM customer")
        if invoker:
            execute(backend, f"ALTER VIEW contact SET (security_invoker); GRANT SELECT ON customer TO {reader}")
        execute(backend, f"ALTER VIEW contact OWNER TO {owner}; GRANT SELECT ON contact TO {reader}")
        hide(backend, "customer")
        failed = run(as_role(backend, reader), request(backend, settings_for()))
        assert failed.status == "error"
        assert '"customer"' in failed.error
        execute(backend, f"ALTER ROLE {reader if invoker else owner} BYPASSRLS")
        assert exported_ids(as_role(backend, reader), settings_for()) == contacts
    finally:
        execute(backend, f"DROP VIEW contact; DROP OWNED BY {owner}; DROP ROLE {owner}")


def test_an_owner_who_is_held_to_its_own_policies_is_refused(backend, contacts, reader):
    execute(backend, f"ALTER TABLE contact OWNER TO {reader}")
    hide(backend, "contact")
    assert exported_ids(as_role(backend, reader), settings_for()) == contacts
    execute(backend, "ALTER TABLE contact FORCE ROW LEVEL SECURITY")
    failed = run(as_role(backend, reader), request(backend, settings_for()))
    assert (failed.status, '"contact"' in failed.error) == ("error", True)


def test_a_catalogue_that_is_hidden_in_part_is_an_error_and_not_a_shorter_list(backend, reader):
    hide(backend, "contact_field", "id < 10")
    hidden = as_role(backend, reader).contacts
    with pytest.raises(ContactsIncomplete, match='"contact_field"'), hidden.transaction() as conn:
        catalogue_repository.read(conn)
    hidden.close()


def test_the_import_sees_every_contact_or_none(backend, contacts, reader, tmp_path, runner, app):
    execute(backend, f"GRANT INSERT, UPDATE ON contact TO {reader}")
    hide(backend, "contact", "id < 5")
    app.extensions["contactexport"] = as_role(backend, reader)
    (tmp_path / "people.csv").write_text("E-Mail,First Name\njo@example.com,Jo\n")
    result = runner.invoke(args=["contacts", "import", str(tmp_path / "people.csv"), "--origin", "form:123"])
    assert result.exit_code == 1
    assert 'row-level security policy for table "contact"' in result.stderr
    assert "ALTER ROLE … BYPASSRLS" in result.stderr


@pytest.mark.parametrize("invoker", [False, True], ids=["owner", "invoker"])
def test_a_right_that_is_missing_is_told_and_nothing_is_exported(backend, contacts, reader, invoker):
    if invoker:
        needs_version_15(backend)
        execute(backend, "ALTER TABLE contact RENAME TO customer; CREATE VIEW contact AS SELECT * FROM customer")
        execute(backend, f"ALTER VIEW contact SET (security_invoker); GRANT SELECT ON contact TO {reader}")
        execute(backend, f"REVOKE ALL ON customer FROM {reader}")
    else:
        execute(backend, f"REVOKE ALL ON contact FROM {reader}; GRANT SELECT (id, origin_kind) ON contact TO {reader}")
    export_id = request(backend, settings_for())
    postponed = run(as_role(backend, reader), export_id)
    assert (postponed.status, postponed.run_attempts) == ("in progress", 1)
    table = "customer" if invoker else "contact"
    assert postponed.error == f"The contacts database refuses this user: permission denied for table {table}"
    assert row_of(backend, export_id)["rows"] is None


def test_rights_on_partitions_do_not_matter(backend, reader):
    execute(backend, "ALTER TABLE contact RENAME TO customer")
    execute(backend, "CREATE TABLE contact (LIKE customer INCLUDING ALL) PARTITION BY HASH (id)")
    for number in range(3):
        execute(
            backend,
            f"CREATE TABLE contact_{number} PARTITION OF contact FOR VALUES WITH (MODULUS 3, REMAINDER {number});"
            f"REVOKE ALL ON contact_{number} FROM {reader}",
        )
    execute(backend, f"GRANT SELECT ON contact TO {reader}")
    execute(
        backend, "INSERT INTO contact (id, origin_kind, origin_id) SELECT n, 'form', 123 FROM generate_series(1, 9) n"
    )
    execute(backend, "INSERT INTO contact_change SELECT id, origin_kind, origin_id, %s FROM contact", (START,))
    assert exported_ids(as_role(backend, reader), settings_for()) == [*range(1, 10)]


def test_children_that_inherit_are_exported_too(backend, contacts):
    execute(backend, "CREATE TABLE contact_of_a_shop (PRIMARY KEY (id)) INHERITS (contact)")
    execute(backend, "INSERT INTO contact_of_a_shop (id, origin_kind, origin_id) VALUES (1000, 'form', 123)")
    execute(backend, "INSERT INTO contact_change VALUES (1000, 'form', 123, %s)", (START,))
    assert exported_ids(backend, settings_for()) == [*contacts, 1000]


@pytest.mark.parametrize("schema", ["other", "pg_temp"])
@pytest.mark.parametrize("table", ["contact", "contact_field", "contact_field_choice"])
def test_a_table_of_the_same_name_in_another_schema_hides_no_contacts(backend, contacts, schema, table):
    expected = export_file(backend, settings_for(contact_fields=(5,)))
    assert len(expected.splitlines()) == len(contacts)
    if schema == "other":
        execute(backend, f"CREATE SCHEMA other; CREATE TABLE other.{table} AS SELECT * FROM {table} LIMIT 3")
        for_all_sessions(backend.database, "SET search_path = other, public")
    else:  # left over in a session that somebody else had before
        with backend.database.kept_session() as first, backend.database.kept_session() as second:
            for conn in (first, second):
                with conn.cursor() as cursor:
                    cursor.execute(f"CREATE TEMPORARY TABLE {table} AS SELECT * FROM public.{table} LIMIT 3")
    assert export_file(backend, settings_for(contact_fields=(5,))) == expected


def test_the_import_writes_no_table_of_another_schema(backend, tmp_path, runner, app):
    execute(backend, "CREATE SCHEMA other; CREATE TABLE other.contact (LIKE contact INCLUDING ALL)")
    for_all_sessions(backend.database, "SET search_path = other, public")
    app.extensions["contactexport"] = backend
    (tmp_path / "people.csv").write_text("E-Mail\njo@example.com\n")
    result = runner.invoke(args=["contacts", "import", str(tmp_path / "people.csv"), "--origin", "form:123"])
    assert result.exit_code == 0, result.stderr
    assert execute(backend, "SELECT count(*) AS n FROM other.contact") == [{"n": 0}]
    assert execute(backend, "SELECT count(*) AS n FROM public.contact") == [{"n": 1}]


def test_a_search_by_an_index_finds_every_contact(backend):
    """Postgres may be told to give up a search after some rows, without an error."""
    execute(
        backend,
        "INSERT INTO contact (id, origin_kind, origin_id, interests)"
        " SELECT n, 'form', 123, ARRAY[1] FROM generate_series(1, 30000) AS n",
    )
    execute(backend, "UPDATE contact_change SET changed_at = %s", (START,))
    execute(
        backend,
        "ALTER TABLE contact RENAME TO customer; ALTER TABLE customer DROP CONSTRAINT contact_pkey;"
        "CREATE INDEX ON customer USING gin (interests); ANALYZE customer;"
        "CREATE VIEW contact AS SELECT * FROM customer WHERE interests @> ARRAY[1]",
    )
    for setting in ("gin_fuzzy_search_limit = 100", "enable_seqscan = off"):
        for_all_sessions(backend.database, f"SET {setting}")
    assert len(exported_ids(backend, settings_for())) == 30_000


def test_an_import_is_logged_although_a_role_switches_triggers_off(backend, tmp_path, runner, app):
    for_all_sessions(backend.database, "SET session_replication_role = replica")
    app.extensions["contactexport"] = backend
    (tmp_path / "people.csv").write_text("E-Mail,Date of Birth\njo@example.com,1984-02-29\n")
    result = runner.invoke(args=["contacts", "import", str(tmp_path / "people.csv"), "--origin", "form:123"])
    assert result.exit_code == 0, result.stderr
    assert execute(backend, "SELECT count(*) AS n FROM contact_change") == [{"n": 1}]
    assert execute(backend, "SELECT date_of_birth AS d FROM contact") == [{"d": date(1984, 2, 29)}]

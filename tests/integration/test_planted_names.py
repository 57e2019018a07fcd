"""What another role has put into `public` is called by no function of ours, however well it fits the types.

It would be run with the rights of the tables' owner, or of the program.
"""

import os
from collections.abc import Callable, Iterator
from datetime import UTC, datetime

import planted
import psycopg2
import pytest
import sql_texts
from backends import database_url, make_backend
from empty_databases import old_database
from exporting import execute, other_session, request, settings_for
from psycopg2 import sql
from psycopg2.errors import InsufficientPrivilege, RaiseException

from contactexport.backend import Backend
from contactexport.db import change_repository, migrate
from contactexport.errors import ContactExportError

MANY = 200
INSERT = "INSERT INTO contact (origin_kind, origin_id) SELECT 'form', 123 FROM generate_series(1, {})"
ROWS = [1, 2, MANY]
OURS = "pronamespace = 'public'::regnamespace"


@pytest.fixture(scope="module")
def intruder(server_url: str) -> Iterator[str]:
    """A role that may log in and nothing else."""
    name = f"intruder_{os.getpid()}"
    conn = psycopg2.connect(server_url)
    conn.autocommit = True
    with conn.cursor() as cursor:
        cursor.execute(f"CREATE ROLE {name}")
        yield name
        cursor.execute(f"DROP ROLE {name}")
    conn.close()


@pytest.fixture(scope="module")
def beset(server_url: str, template: str, intruder: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Backend]:
    """A database in which the intruder has planted all that the functions of ours use."""
    name = sql.Identifier(f"contactexport_beset_{os.getpid()}")
    conn = psycopg2.connect(server_url)
    conn.autocommit = True
    with conn.cursor() as cursor:
        cursor.execute(sql.SQL("CREATE DATABASE {} TEMPLATE {}").format(name, sql.Identifier(template)))
        backend = make_backend(database_url(server_url, name.string), tmp_path_factory.mktemp("beset"))
        with other_session(backend) as session:
            planted.plant(session, intruder, sql_texts.functions(backend))
        yield backend
        backend.database.close()
        cursor.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(name))
    conn.close()


def contacts(backend: Backend, so_many: int) -> None:
    execute(backend, "TRUNCATE contact, contact_change RESTART IDENTITY")
    execute(backend, INSERT.format(so_many))


def logged(backend: Backend) -> int:
    return execute(backend, "SELECT count(*) AS changes FROM contact_change")[0]["changes"]


@pytest.mark.parametrize("so_many", ROWS)
def test_contacts_are_logged_by_nobody_else_s_functions(beset: Backend, so_many: int):
    contacts(beset, so_many)
    assert logged(beset) == so_many


@pytest.mark.parametrize("so_many", ROWS)
@pytest.mark.parametrize(
    "change",
    ["last_name = 'Smith'", "last_name = id::text", "id = id + 1000::bigint", "children = 1, city = id::text"],
)
def test_updates_are_logged_by_nobody_else_s_functions(beset: Backend, so_many: int, change: str):
    contacts(beset, so_many)
    execute(beset, f"UPDATE contact SET {change}")
    assert logged(beset) == 2 * so_many
    if not change.startswith("id"):
        execute(beset, f"UPDATE contact SET {change}")
        assert logged(beset) == 2 * so_many


DOORS: dict[str, Callable[[Backend], object]] = {
    "the end of a window": lambda backend: window_end(backend),
    "months of the log": lambda backend: execute(backend, "SELECT contact_change_months('2012-01-01', '2012-03-01')"),
    "the months to come": lambda backend: prepare_months(backend),
    "an origin": lambda backend: execute(backend, "INSERT INTO origin VALUES ('form', 5000, 'New')"),
    "a field": lambda backend: execute(backend, "UPDATE contact_field SET name = 'New'"),
    "a request": lambda backend: request(backend, settings_for()),
    "a delivery": lambda backend: execute(
        backend,
        "SELECT export_deliveries(jsonb_build_array(), 1, reply) FROM (VALUES (NULL::text), ('226')) AS v (reply)",
    ),
}


def window_end(backend: Backend) -> None:
    with backend.database.transaction() as conn:
        change_repository.window_end(conn, datetime.now(UTC))


def prepare_months(backend: Backend) -> None:
    with backend.database.transaction() as conn:
        assert change_repository.prepare_months(conn)


@pytest.mark.parametrize("door", DOORS)
def test_other_functions_call_nobody_else_s(beset: Backend, door: str):
    DOORS[door](beset)


def test_the_page_for_operators_finds_what_was_planted(beset: Backend, intruder: str):
    page = sql_texts.OPERATIONS.read_text(encoding="utf-8")
    [query] = [block for block in sql_texts.blocks(page) if "pg_operator" in block]
    with other_session(beset) as conn, conn.cursor() as cursor:
        cursor.execute(query)
        found = {(what, owner) for what, _name, owner in cursor.fetchall()}
    assert {("function", intruder), ("operator", intruder)} <= found
    assert {owner for what, owner in found if what != "superuser"} == {intruder}


def texts_of_the_old_time(old: Backend) -> list[str]:
    return [text for text in sql_texts.functions(old) if "contact_change_time" in text]


def test_planted_functions_are_called_before_an_upgrade_which_refuses_to_call_any(
    backend: Backend, database_name: str, intruder: str
):
    """So the tests above can fail."""
    with old_database(backend, f"{database_name}_old") as old:
        upgrade = [text for text in sql_texts.queries() if "foreign_name" in text]
        with other_session(old) as conn:
            planted.plant(conn, intruder, [*texts_of_the_old_time(old), *upgrade])
        with pytest.raises(RaiseException, match=planted.CALLED):
            execute(old, INSERT.format(1))
        with pytest.raises(ContactExportError, match=f" belongs to {intruder}, and Postgres may call it"):
            migrate.upgrade(old.database)


def test_an_upgraded_database_calls_no_planted_functions(backend: Backend, database_name: str, intruder: str):
    with old_database(backend, f"{database_name}_old") as old:
        texts = texts_of_the_old_time(old)
        migrate.upgrade(old.database)
        with other_session(old) as conn:
            planted.plant(conn, intruder, texts)
        before = logged(old)
        execute(old, INSERT.format(1))
        assert logged(old) == before + 1


@pytest.mark.parametrize(
    "harmless",
    [
        "CREATE FUNCTION public.of_his_own(integer) RETURNS integer LANGUAGE sql AS 'SELECT 1'",
        "CREATE SCHEMA AUTHORIZATION {0}; CREATE FUNCTION {0}.now(integer) RETURNS integer LANGUAGE sql AS 'SELECT 1'",
    ],
    ids=["a name of its own", "a schema of its own"],
)
def test_what_nobody_calls_by_mistake_is_no_obstacle_to_an_upgrade(
    backend: Backend, database_name: str, intruder: str, harmless: str
):
    execute(
        backend, f"GRANT CREATE ON SCHEMA public TO {intruder}; GRANT CREATE ON DATABASE {database_name} TO {intruder}"
    )
    execute(backend, f"SET LOCAL ROLE {intruder}; {harmless.format(intruder)}")
    migrate.upgrade(backend.database)


def test_the_guide_s_functions_call_nobody_else_s(backend: Backend, intruder: str):
    execute(backend, "DELETE FROM contact_field; DELETE FROM origin; " + "".join(sql_texts.own_table()))
    with other_session(backend) as conn:
        planted.plant(conn, intruder, [text for text in sql_texts.functions(backend) if "_customer" in text])
    made = "INSERT INTO customer (signup_form, mail) SELECT 1, 'x' FROM generate_series(1, {})"
    changes = 0
    for so_many in ROWS:
        execute(backend, "TRUNCATE customer")
        execute(backend, made.format(so_many))
        execute(backend, "UPDATE customer SET given_name = 'Anna', sex = 'f'")
        execute(backend, "UPDATE customer SET visits = 7")
        changes += 2 * so_many
        assert logged(backend) == changes


def test_every_function_finds_nothing_but_postgres_own_names(backend: Backend):
    execute(backend, "DELETE FROM contact_field; DELETE FROM origin; " + "".join(sql_texts.own_table()))
    found = execute(
        backend,
        f"SELECT proname FROM pg_proc WHERE {OURS}"
        " AND coalesce(NOT 'search_path=pg_catalog, pg_temp' = ANY (proconfig), true)",
    )
    assert found == []


def test_functions_belong_to_the_owner_of_the_log_and_triggers_are_nobody_else_s(backend: Backend, intruder: str):
    functions = execute(
        backend,
        "SELECT proname AS name,"
        " proowner = (SELECT relowner FROM pg_class WHERE oid = 'contact_change'::regclass) AS owned,"
        " has_function_privilege(%s, oid, 'EXECUTE') AND prorettype = 'trigger'::regtype AS may_be_attached"
        f" FROM pg_proc WHERE {OURS}",
        (intruder,),
    )
    assert [one["name"] for one in functions if not one["owned"] or one["may_be_attached"]] == []


def test_nobody_else_can_write_the_log_by_a_trigger_of_his_own(backend: Backend, intruder: str):
    with other_session(backend) as conn, conn.cursor() as cursor:
        cursor.execute(f"GRANT CREATE ON SCHEMA public TO {intruder}; SET ROLE {intruder}")
        cursor.execute("CREATE TABLE fake (id bigint, origin_kind text, origin_id integer)")
        with pytest.raises(InsufficientPrivilege):
            cursor.execute(
                "CREATE TRIGGER fake AFTER INSERT ON fake REFERENCING NEW TABLE AS new_contact"
                " FOR EACH STATEMENT EXECUTE FUNCTION contact_log_insert()"
            )

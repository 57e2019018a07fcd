"""No function of ours calls what another role has put into `public`, however well it fits the types.

Postgres would run it with the rights of the tables' owner, or of the program.
"""

import os
from collections.abc import Callable, Iterator
from datetime import UTC, datetime

import psycopg2
import pytest
from psycopg2 import sql
from psycopg2.errors import InsufficientPrivilege, RaiseException

from contactexport.changes import log as change_log
from contactexport.context import Context
from contactexport.db import migrate
from contactexport.db.queries import queries
from contactexport.errors import ContactExportError
from tests.support import planted, sql_texts
from tests.support.contexts import database_url, make_context
from tests.support.empty_databases import old_database
from tests.support.exporting import execute, other_session, request, settings_for

MANY = 200
INSERT = "INSERT INTO contact (origin_kind, origin_id) SELECT 'form', 123 FROM generate_series(1, {})"
ROWS = [1, 2, MANY]
OURS = "pronamespace = 'public'::regnamespace"


@pytest.fixture(scope="module")
def intruder(server_url: str) -> Iterator[str]:
    """A role without any rights."""
    name = f"intruder_{os.getpid()}"
    conn = psycopg2.connect(server_url)
    conn.autocommit = True
    with conn.cursor() as cursor:
        cursor.execute(f"CREATE ROLE {name}")
        yield name
        cursor.execute(f"DROP ROLE {name}")
    conn.close()


@pytest.fixture(scope="module")
def beset(server_url: str, template: str, intruder: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Context]:
    """A database in which the intruder has planted a double of everything that our functions use."""
    name = sql.Identifier(f"contactexport_beset_{os.getpid()}")
    conn = psycopg2.connect(server_url)
    conn.autocommit = True
    with conn.cursor() as cursor:
        cursor.execute(sql.SQL("CREATE DATABASE {} TEMPLATE {}").format(name, sql.Identifier(template)))
        context = make_context(database_url(server_url, name.string), tmp_path_factory.mktemp("beset"))
        with other_session(context) as session:
            planted.plant(session, intruder, sql_texts.functions(context))
        yield context
        context.database.close()
        cursor.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(name))
    conn.close()


def contacts(context: Context, so_many: int) -> None:
    execute(context, "TRUNCATE contact, contact_change RESTART IDENTITY")
    execute(context, INSERT.format(so_many))


def logged(context: Context) -> int:
    return execute(context, "SELECT count(*) AS changes FROM contact_change")[0]["changes"]


@pytest.mark.parametrize("so_many", ROWS)
def test_logging_an_insert_calls_no_planted_function(beset: Context, so_many: int):
    contacts(beset, so_many)
    assert logged(beset) == so_many


@pytest.mark.parametrize("so_many", ROWS)
@pytest.mark.parametrize(
    "change",
    ["last_name = 'Smith'", "last_name = id::text", "id = id + 1000::bigint", "children = 1, city = id::text"],
)
def test_logging_an_update_calls_no_planted_function(beset: Context, so_many: int, change: str):
    contacts(beset, so_many)
    execute(beset, f"UPDATE contact SET {change}")
    assert logged(beset) == 2 * so_many
    if not change.startswith("id"):
        execute(beset, f"UPDATE contact SET {change}")
        assert logged(beset) == 2 * so_many


DOORS: dict[str, Callable[[Context], object]] = {
    "the end of a window": lambda context: window_end(context),
    "months of the log": lambda context: execute(context, "SELECT contact_change_months('2012-01-01', '2012-03-01')"),
    "the months to come": lambda context: prepare_months(context),
    "an origin": lambda context: execute(context, "INSERT INTO origin VALUES ('form', 5000, 'New')"),
    "a field": lambda context: execute(context, "UPDATE contact_field SET name = 'New'"),
    "a request": lambda context: request(context, settings_for()),
    "a delivery": lambda context: execute(
        context,
        "SELECT export_deliveries(jsonb_build_array(), 1, reply) FROM (VALUES (NULL::text), ('226')) AS v (reply)",
    ),
}


def window_end(context: Context) -> None:
    with context.database.transaction() as conn:
        queries("change").window_end(conn, wanted=datetime.now(UTC))


def prepare_months(context: Context) -> None:
    with context.database.transaction() as conn:
        assert change_log.prepare_months(conn)


@pytest.mark.parametrize("door", DOORS)
def test_other_functions_of_ours_call_no_planted_function(beset: Context, door: str):
    DOORS[door](beset)


def test_query_of_the_operations_page_finds_planted_objects(beset: Context, intruder: str):
    page = sql_texts.OPERATIONS.read_text(encoding="utf-8")
    [query] = [block for block in sql_texts.blocks(page) if "pg_operator" in block]
    with other_session(beset) as conn, conn.cursor() as cursor:
        cursor.execute(query)
        found = {(what, owner) for what, _name, owner in cursor.fetchall()}
    assert {("function", intruder), ("operator", intruder)} <= found
    assert {owner for what, owner in found if what != "superuser"} == {intruder}


def texts_of_the_old_time(old: Context) -> list[str]:
    return [text for text in sql_texts.functions(old) if "contact_change_time" in text]


def test_old_functions_call_planted_ones_and_the_upgrade_refuses_to_run(
    context: Context, database_name: str, intruder: str
):
    """This shows that the tests above can fail."""
    with old_database(context, f"{database_name}_old") as old:
        upgrade = [text for text in sql_texts.queries() if "foreign_name" in text]
        with other_session(old) as conn:
            planted.plant(conn, intruder, [*texts_of_the_old_time(old), *upgrade])
        with pytest.raises(RaiseException, match=planted.CALLED):
            execute(old, INSERT.format(1))
        with pytest.raises(ContactExportError, match=f" belongs to {intruder}, and Postgres may call it"):
            migrate.upgrade(old.database)


def test_upgraded_database_calls_no_planted_function(context: Context, database_name: str, intruder: str):
    with old_database(context, f"{database_name}_old") as old:
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
def test_harmless_objects_of_other_roles_do_not_block_the_upgrade(
    context: Context, database_name: str, intruder: str, harmless: str
):
    execute(
        context, f"GRANT CREATE ON SCHEMA public TO {intruder}; GRANT CREATE ON DATABASE {database_name} TO {intruder}"
    )
    execute(context, f"SET LOCAL ROLE {intruder}; {harmless.format(intruder)}")
    migrate.upgrade(context.database)


def test_functions_of_the_guide_call_no_planted_function(context: Context, intruder: str):
    execute(context, "DELETE FROM contact_field; DELETE FROM origin; " + "".join(sql_texts.own_table()))
    with other_session(context) as conn:
        planted.plant(conn, intruder, [text for text in sql_texts.functions(context) if "_customer" in text])
    made = "INSERT INTO customer (signup_form, mail) SELECT 1, 'x' FROM generate_series(1, {})"
    changes = 0
    for so_many in ROWS:
        execute(context, "TRUNCATE customer")
        execute(context, made.format(so_many))
        execute(context, "UPDATE customer SET given_name = 'Anna', sex = 'f'")
        execute(context, "UPDATE customer SET visits = 7")
        changes += 2 * so_many
        assert logged(context) == changes


def test_every_function_searches_only_the_schema_of_postgres(context: Context):
    execute(context, "DELETE FROM contact_field; DELETE FROM origin; " + "".join(sql_texts.own_table()))
    found = execute(
        context,
        f"SELECT proname FROM pg_proc WHERE {OURS}"
        " AND coalesce(NOT 'search_path=pg_catalog, pg_temp' = ANY (proconfig), true)",
    )
    assert found == []


def test_functions_belong_to_the_log_owner_and_others_cannot_attach_triggers(context: Context, intruder: str):
    functions = execute(
        context,
        "SELECT proname AS name,"
        " proowner = (SELECT relowner FROM pg_class WHERE oid = 'contact_change'::regclass) AS owned,"
        " has_function_privilege(%s, oid, 'EXECUTE') AND prorettype = 'trigger'::regtype AS may_be_attached"
        f" FROM pg_proc WHERE {OURS}",
        (intruder,),
    )
    assert [one["name"] for one in functions if not one["owned"] or one["may_be_attached"]] == []


def test_other_role_cannot_write_the_log_by_its_own_trigger(context: Context, intruder: str):
    with other_session(context) as conn, conn.cursor() as cursor:
        cursor.execute(f"GRANT CREATE ON SCHEMA public TO {intruder}; SET ROLE {intruder}")
        cursor.execute("CREATE TABLE fake (id bigint, origin_kind text, origin_id integer)")
        with pytest.raises(InsufficientPrivilege):
            cursor.execute(
                "CREATE TRIGGER fake AFTER INSERT ON fake REFERENCING NEW TABLE AS new_contact"
                " FOR EACH STATEMENT EXECUTE FUNCTION contact_log_insert()"
            )

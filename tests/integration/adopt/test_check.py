"""Each way in which changes of contacts get lost is found, told with its remedy, and seen in the status of exports."""

import json
from collections.abc import Iterator

import pytest

from contactexport.adopt import check as capture
from contactexport.context import Context
from contactexport.exports import status
from tests.support.adopted import adopt, adopt_by_hand
from tests.support.exporting import around_now, contact_changed, execute, request, run, settings_for
from tests.support.readers import as_role
from tests.support.sql_texts import OPERATIONS, blocks


def found(context: Context) -> list[str]:
    return [one.what for one in capture.check(context)]


def remedies(context: Context) -> list[str]:
    return [one.remedy for one in capture.check(context)]


def exported(context: Context, **changes) -> dict:
    settings = settings_for(origin="all", origin_ids=(), **around_now() | changes)
    export = run(context, request(context, settings))
    assert export.status == "done", export.error
    return status.payload(context, export)


@pytest.fixture
def keeper(context: Context) -> Iterator[str]:
    """A role that is no superuser."""
    name = execute(context, "SELECT 'keeper_of_' || current_database() AS name")[0]["name"]
    execute(context, f"CREATE ROLE {name} LOGIN")
    try:
        yield name
    finally:
        execute(context, f"DROP OWNED BY {name} CASCADE; DROP ROLE {name}")


def test_what_is_whole_has_no_findings(context: Context):
    adopt(context)
    assert capture.check(context) == []
    shown = exported(context)
    assert shown["rows"] == 1
    assert "warnings" not in shown


def test_the_table_of_the_guide_is_whole(context: Context):
    adopt_by_hand(context)
    assert found(context) == []
    assert "warnings" not in exported(context)


def test_the_programs_own_table_is_whole(context: Context):
    contact_changed(context)
    assert capture.check(context) == []
    assert "warnings" not in exported(context)


ALWAYS = "triggers that are ENABLE ALWAYS"
# What breaks the capture of the shop, and what is said of it.
BREAKS = {
    "trigger dropped": (
        "DROP TRIGGER customer_update ON shop.customer",
        "the trigger customer_update of shop.customer is missing",
    ),
    "all triggers dropped": (
        "DROP FUNCTION log_profile_insert, log_profile_update, log_profile_delete, log_profile_truncate CASCADE",
        "the trigger profile_delete, profile_insert, profile_truncate, profile_update of shop.profile is missing",
    ),
    "trigger disabled": (
        "ALTER TABLE shop.profile DISABLE TRIGGER profile_delete",
        "the trigger profile_delete of shop.profile is disabled",
    ),
    "trigger for replicas": (
        "ALTER TABLE shop.profile ENABLE REPLICA TRIGGER profile_delete",
        "the trigger profile_delete of shop.profile is enabled for replication only",
    ),
    "column added to the view": (
        (
            "CREATE OR REPLACE VIEW contact AS SELECT n.no AS id, 'form' AS origin_kind, n.form AS origin_id,"
            " n.mail AS email, n.name AS first_name, c.visits FROM shop.named AS n JOIN shop.customer AS c USING (no)"
        ),
        "changes of visits of shop.customer are not logged: the triggers are older than the view that reads it",
    ),
    "column added to a view below": (
        (
            "CREATE OR REPLACE VIEW shop.named AS SELECT c.no, c.form, c.mail, p.name FROM shop.customer AS c"
            " LEFT JOIN shop.profile AS p ON p.customer_no = c.no WHERE c.active AND c.visits > 0"
        ),
        "changes of visits of shop.customer are not logged: the triggers are older than the view that reads it",
    ),
    "whole row in the view": (
        (
            "CREATE OR REPLACE VIEW contact AS SELECT n.no AS id, 'form' AS origin_kind, n.form AS origin_id,"
            " n.mail AS email, n.name AS first_name, to_jsonb(c) AS all_of_it FROM shop.named AS n"
            " JOIN shop.customer AS c USING (no)"
        ),
        "changes of visits of shop.customer are not logged: the triggers are older than the view that reads it",
    ),
    "table added to the view": (
        (
            "CREATE TABLE shop.country (no bigint, name text); CREATE OR REPLACE VIEW contact AS SELECT n.no AS id,"
            " 'form' AS origin_kind, n.form AS origin_id, n.mail AS email, n.name AS first_name, l.name AS country"
            " FROM shop.named AS n LEFT JOIN shop.country AS l USING (no)"
        ),
        "INSERT, UPDATE, DELETE, TRUNCATE of shop.country is not logged",
    ),
    "memberships of another table": (
        (
            "CREATE TABLE shop.list (contact_no bigint, id integer); CREATE VIEW contact_origin AS"
            " SELECT contact_no AS contact_id, 'form' AS origin_kind, id AS origin_id FROM shop.list"
        ),
        "INSERT, UPDATE, DELETE, TRUNCATE of shop.list is not logged",
    ),
    "child that inherits": (
        "CREATE TABLE shop.customer_abroad () INHERITS (shop.customer)",
        (
            "INSERT, UPDATE, DELETE, TRUNCATE of shop.customer_abroad is not logged when it is written directly,"
            " without its parent table"
        ),
    ),
    "role that replicates": (
        "ALTER DATABASE {database} SET session_replication_role = replica",
        "session_replication_role is replica for the database {database}: its changes fire only {always}",
    ),
    "subscription": (
        "CREATE SUBSCRIPTION {database} CONNECTION 'dbname=none' PUBLICATION shop WITH (connect = false)",
        (
            "the subscription {database} does not tell which tables it writes, and logical replication fires no such"
            " triggers"
        ),
    ),
    "subscription of a watched table": (
        (
            "CREATE SUBSCRIPTION {database} CONNECTION 'dbname=none' PUBLICATION shop WITH (connect = false);"
            " INSERT INTO pg_subscription_rel (srsubid, srrelid, srsubstate)"
            " SELECT oid, 'shop.profile'::regclass, 'r' FROM pg_subscription WHERE subname = '{database}'"
        ),
        "the subscription {database} writes shop.profile, and logical replication fires no such triggers",
    ),
    "table renamed": (
        "ALTER TABLE shop.profile RENAME TO person",
        "the table shop.profile was adopted and is gone",
    ),
}


@pytest.fixture
def without_subscription(context: Context) -> Iterator[None]:
    """Afterwards, since a database with one cannot be dropped."""
    yield
    for row in execute(context, "SELECT quote_ident(subname) AS name FROM pg_subscription"):
        execute(
            context,
            f"ALTER SUBSCRIPTION {row['name']} SET (slot_name = NONE); DROP SUBSCRIPTION {row['name']}",
        )


@pytest.mark.usefixtures("without_subscription")
@pytest.mark.parametrize("way", BREAKS)
def test_what_breaks_the_capture_is_found_by_check_and_told_by_exports(context, database_name, way, runner):
    adopt(context)
    breaking, expected = (text.replace("{database}", database_name).replace("{always}", ALWAYS) for text in BREAKS[way])
    execute(context, breaking)
    assert expected in found(context)
    assert exported(context)["warnings"] == [f"Changes may be missing: {what}" for what in found(context)]
    for command in (["contacts", "check"], ["doctor"]):
        told = runner.invoke(args=command)
        assert told.exit_code == 1
        assert f"{expected}: " in told.stdout
    assert "warning: Changes may be missing: " in runner.invoke(args=["export", "show", "1"]).stdout
    assert "warning" in runner.invoke(args=["export", "list"]).stdout


def test_a_partition_attached_later_is_found(context: Context):
    adopt(context)
    execute(
        context,
        """
        CREATE TABLE shop.parted (LIKE shop.customer) PARTITION BY LIST (form);
        CREATE TABLE shop.parted_1 PARTITION OF shop.parted FOR VALUES IN (1);
        ALTER TABLE shop.customer RENAME TO former;
        ALTER TABLE shop.parted RENAME TO customer;
        CREATE OR REPLACE VIEW shop.named AS SELECT c.no, c.form, c.mail, p.name FROM shop.customer AS c
            LEFT JOIN shop.profile AS p ON p.customer_no = c.no WHERE c.active;
        """
        + watched_again("customer")
        + watched_again("parted_1"),
    )
    assert found(context) == []
    execute(context, "CREATE TABLE shop.parted_2 PARTITION OF shop.customer FOR VALUES IN (2)")
    expected = (
        "INSERT, UPDATE, DELETE, TRUNCATE of shop.parted_2 is not logged when it is written directly, without its"
    )
    assert found(context) == [f"{expected} parent table"]
    assert exported(context)["warnings"] == [f"Changes may be missing: {expected} parent table"]
    execute(context, "DROP FUNCTION log_customer_update CASCADE")
    assert "the trigger customer_update of shop.customer is missing" in found(context)


def watched_again(table: str) -> str:
    """The triggers of the table customer, on another one."""
    made = [
        f"CREATE TRIGGER customer_{event.lower()} AFTER {event} ON shop.{table} REFERENCING {rows}"
        f" FOR EACH STATEMENT EXECUTE FUNCTION log_customer_{event.lower()}();"
        for event, rows in {
            "INSERT": "NEW TABLE AS new_rows",
            "UPDATE": "NEW TABLE AS new_rows",
            "DELETE": "OLD TABLE AS old_rows",
        }.items()
    ]
    made.append(
        f"CREATE TRIGGER customer_truncate BEFORE TRUNCATE ON shop.{table}"
        " FOR EACH STATEMENT EXECUTE FUNCTION log_customer_truncate();"
    )
    return "".join(made)


def test_row_level_security_that_hides_rows_from_a_trigger_is_found(context: Context, keeper: str):
    adopt(context)
    execute(
        context,
        f"GRANT SELECT, INSERT ON contact_change TO {keeper}; ALTER FUNCTION log_profile_insert OWNER TO {keeper};"
        "ALTER TABLE shop.customer ENABLE ROW LEVEL SECURITY",
    )
    expected = f"row-level security of shop.customer holds for the role {keeper}, which would miss rows"
    assert found(context) == [expected]
    assert exported(context)["warnings"] == [f"Changes may be missing: {expected}"]
    execute(context, f"ALTER ROLE {keeper} BYPASSRLS")
    assert found(context) == []


def test_row_level_security_is_found_for_the_owner_of_the_view_and_forced_for_that_of_the_table(context, keeper):
    adopt(context)
    execute(
        context,
        f"GRANT USAGE, CREATE ON SCHEMA shop TO {keeper}; GRANT SELECT ON shop.customer TO {keeper};"
        f"ALTER TABLE shop.profile OWNER TO {keeper}; ALTER VIEW shop.named OWNER TO {keeper};"
        "ALTER TABLE shop.profile ENABLE ROW LEVEL SECURITY",
    )
    assert found(context) == []
    execute(context, "ALTER TABLE shop.profile FORCE ROW LEVEL SECURITY")
    assert found(context) == [f"row-level security of shop.profile holds for the role {keeper}, which would miss rows"]


def test_row_level_security_is_found_where_a_trigger_has_the_rights_of_whoever_writes(context: Context):
    adopt(context)
    execute(context, "ALTER FUNCTION log_profile_insert SECURITY INVOKER")
    assert found(context) == []
    execute(context, "ALTER TABLE shop.customer ENABLE ROW LEVEL SECURITY")
    assert found(context) == [
        "row-level security of shop.customer holds for whoever writes, and a trigger runs with the writer's rights"
    ]


def test_a_right_that_was_revoked_is_found(context: Context, keeper: str):
    adopt(context)
    execute(context, f"GRANT SELECT ON ALL TABLES IN SCHEMA public TO {keeper}; GRANT pg_read_all_stats TO {keeper}")
    program = as_role(context, keeper)
    assert found(program) == []
    execute(context, f"REVOKE SELECT ON contact FROM {keeper}; GRANT SELECT (id, origin_kind) ON contact TO {keeper}")
    assert found(program) == ["columns of contact cannot be read: origin_id, email, first_name"]
    execute(context, f"REVOKE SELECT ON contact_change FROM {keeper}")
    assert f"{keeper} may not read contact_change" in found(program)
    execute(
        context, f"ALTER VIEW shop.named OWNER TO {keeper}; GRANT SELECT (no, form, mail) ON shop.customer TO {keeper}"
    )
    assert f"{keeper} may not read what the view needs of shop.customer" in found(context)
    execute(context, f"GRANT SELECT (active) ON shop.customer TO {keeper}")
    assert f"{keeper} may not read what the view needs of shop.customer" not in found(context)
    execute(context, f"ALTER FUNCTION log_profile_insert OWNER TO {keeper}")
    assert f"{keeper}, who owns the functions of the triggers, may not write contact_change" in found(context)
    program.contacts.close()


def test_a_role_that_cannot_see_who_writes_is_told_if_others_may_write(context: Context, keeper: str):
    adopt(context)
    execute(context, f"GRANT SELECT ON ALL TABLES IN SCHEMA public TO {keeper}")
    program = as_role(context, keeper)
    assert remedies(program) == [f"run GRANT pg_read_all_stats TO {keeper}"]
    execute(context, f"ALTER TABLE shop.customer OWNER TO {keeper}; ALTER TABLE shop.profile OWNER TO {keeper}")
    assert remedies(program) == []
    program.contacts.close()


def test_columns_of_the_catalogue_that_do_not_exist_are_found(context: Context):
    adopt(context)
    execute(
        context,
        "INSERT INTO contact_field (id, name, application_type, column_name, exportable)"
        " VALUES (200, 'Shoe', 'numeric', 'shoe', true), (201, 'Hat', 'numeric', 'hat', false)",
    )
    assert found(context) == ["contact has no column shoe (field 200)"]


def test_a_role_whose_sessions_replicate_is_found_unless_triggers_fire_always(context: Context, keeper: str):
    adopt(context)
    execute(context, f"ALTER ROLE {keeper} SET session_replication_role = replica")
    expected = f"session_replication_role is replica for the role {keeper}: its changes fire only {ALWAYS}"
    assert found(context) == [expected]
    assert len(exported(context)["warnings"]) == 1
    for table in ("customer", "profile"):
        for event in ("insert", "update", "delete", "truncate"):
            execute(context, f"ALTER TABLE shop.{table} ENABLE ALWAYS TRIGGER {table}_{event}")
    assert found(context) == []


@pytest.mark.usefixtures("without_subscription")
def test_a_subscription_is_no_matter_where_triggers_for_rows_fire_always(context: Context, database_name: str):
    adopt(context)
    execute(context, BREAKS["subscription of a watched table"][0].replace("{database}", database_name))
    execute(
        context,
        """
        CREATE FUNCTION log_row() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$
        BEGIN
            INSERT INTO public.contact_change VALUES
                (coalesce(NEW.customer_no, OLD.customer_no), 'form', 1, public.contact_change_time());
            RETURN NULL;
        END $$;
        CREATE TRIGGER each_row AFTER INSERT OR UPDATE OR DELETE ON shop.profile
            FOR EACH ROW EXECUTE FUNCTION log_row();
        """,
    )
    for event in ("insert", "update", "delete"):
        execute(context, f"ALTER TABLE shop.profile ENABLE ALWAYS TRIGGER profile_{event}")
    assert len(found(context)) == 1
    execute(context, "ALTER TABLE shop.profile ENABLE ALWAYS TRIGGER each_row")
    assert found(context) == []


def test_what_a_view_by_hand_gets_later_is_found(context: Context):
    adopt_by_hand(context)
    execute(
        context,
        "CREATE OR REPLACE VIEW contact AS SELECT customer_no AS id, 'form'::text AS origin_kind,"
        " coalesce(signup_form, 0) AS origin_id, given_name AS first_name, mail AS email, 1 AS gender, visits"
        " FROM customer",
    )
    assert found(context)[0].startswith("changes of visits of customer are not logged")
    assert len(exported(context)["warnings"]) == 1


@pytest.mark.parametrize(
    "comparison",
    [
        "WHERE n.* *<> o.*",
        "WHERE to_jsonb(n) <> to_jsonb(o)",
        "",
        "WHERE (n.mail, n.visits) IS DISTINCT FROM (o.mail, o.visits)",
    ],
)
def test_triggers_by_hand_may_compare_what_they_like(context: Context, comparison: str):
    log_updates_where(context, comparison)
    assert not any("visits" in one for one in found(context))


@pytest.mark.parametrize(
    "comparison",
    ["WHERE n.mail <> o.mail", "WHERE n.mail != o.mail", "WHERE n.mail IS DISTINCT FROM o.mail"],
)
def test_triggers_by_hand_that_compare_other_columns_are_found(context: Context, comparison: str):
    log_updates_where(context, comparison)
    assert any("changes of visits of customer" in one for one in found(context))


def log_updates_where(context: Context, comparison: str) -> None:
    """The table of the guide, with `visits` among the fields and such a comparison in the trigger of updates."""
    adopt_by_hand(context)
    execute(
        context,
        "CREATE OR REPLACE VIEW contact AS SELECT customer_no AS id, 'form'::text AS origin_kind,"
        " customer_no::integer AS origin_id, mail AS first_name, mail AS email, 1 AS gender, visits FROM customer",
    )
    execute(
        context,
        f"""
        CREATE OR REPLACE FUNCTION customer_log_update() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$
        BEGIN
            INSERT INTO public.contact_change SELECT n.customer_no, 'form', 1, public.contact_change_time(), 'u'
            FROM new_customer AS n JOIN old_customer AS o USING (customer_no) {comparison};
            RETURN NULL;
        END $$
        """,
    )


def test_a_trigger_may_log_by_a_function_it_calls(context: Context):
    adopt_by_hand(context)
    execute(
        context,
        """
        CREATE FUNCTION note_contact(id bigint) RETURNS void LANGUAGE sql AS
            'INSERT INTO public.contact_change SELECT id, ''form'', 1, public.contact_change_time()';
        CREATE OR REPLACE FUNCTION customer_log_insert() RETURNS trigger LANGUAGE plpgsql AS
            'BEGIN PERFORM note_contact(customer_no) FROM new_customer; RETURN NULL; END';
        """,
    )
    assert "INSERT of customer is not logged" not in found(context)
    execute(context, "DROP FUNCTION note_contact")
    assert "INSERT of customer is not logged" in found(context)


def test_a_trigger_of_the_programs_own_table_is_missed(context: Context):
    contact_changed(context)
    execute(context, "DROP TRIGGER contact_updated ON contact; ALTER TABLE contact DISABLE TRIGGER contact_inserted")
    assert found(context) == ["UPDATE of contact is not logged", "the trigger contact_inserted of contact is disabled"]
    assert len(exported(context)["warnings"]) == 2
    execute(context, "DROP TRIGGER contact_inserted ON contact")
    section = OPERATIONS.read_text(encoding="utf-8").partition("### Are all changes logged?")[2].partition("\n### ")[0]
    execute(context, blocks(section)[0])
    assert not {"INSERT", "UPDATE"} & {one.split()[0].rstrip(",") for one in found(context)}
    execute(context, "CREATE TABLE contact_of_a_shop () INHERITS (contact)")
    assert any("contact_of_a_shop" in one for one in found(context))


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("SELECT c.* FROM customer AS c UNION ALL SELECT c.* FROM customer AS c", "contact 1 is there more than once"),
        (
            "SELECT nullif(c.id, 1) AS id, c.origin_kind, c.origin_id, c.email, c.first_name FROM customer AS c",
            "a contact has no id",
        ),
        (
            "SELECT c.* FROM customer AS c WHERE 1 / (c.id - 1) > 0",
            "`contact` cannot be read: The database refuses the query: division by zero",
        ),
    ],
)
def test_ids_that_repeat_or_are_missing_are_found(context: Context, query: str, expected: str):
    contact_changed(context)
    execute(context, f"ALTER TABLE contact RENAME TO customer; CREATE VIEW contact AS {query}")
    assert expected in found(context)


def test_the_search_for_ids_ends_in_time(context: Context, monkeypatch: pytest.MonkeyPatch, caplog):
    monkeypatch.setattr(capture, "IDS_SECONDS", 0.01)
    contact_changed(context)
    execute(
        context,
        "ALTER TABLE contact RENAME TO customer;"
        "CREATE VIEW contact AS SELECT c.* FROM customer AS c WHERE pg_sleep(5) IS NOT NULL",
    )
    capture.check(context)
    assert "not all ids were compared" in caplog.text


@pytest.mark.parametrize(
    "condition", ["c.active AND current_date > DATE '2012-01-01'", "c.active AND now() > '2012-01-01'"]
)
def test_a_view_that_changes_by_the_clock_is_found(context: Context, condition: str):
    adopt(context)
    execute(
        context,
        "CREATE OR REPLACE VIEW shop.named AS SELECT c.no, c.form, c.mail, p.name FROM shop.customer AS c"
        f" LEFT JOIN shop.profile AS p ON p.customer_no = c.no WHERE {condition}",
    )
    assert [one.partition(" (")[0] for one in found(context)] == ["shop.named depends on the time"]


def test_a_function_that_reads_another_table_is_found(context: Context):
    adopt(context)
    execute(
        context,
        "CREATE FUNCTION shop.clean(text) RETURNS text LANGUAGE sql STABLE AS 'SELECT lower($1)';"
        "CREATE OR REPLACE VIEW shop.named AS SELECT c.no, c.form, shop.clean(c.mail) AS mail, p.name"
        " FROM shop.customer AS c"
        " LEFT JOIN shop.profile AS p ON p.customer_no = c.no WHERE c.active",
    )
    assert found(context) == ["the view calls shop.clean(text), and what that reads is not watched"]
    execute(context, "ALTER FUNCTION shop.clean IMMUTABLE")
    assert found(context) == []


@pytest.mark.parametrize("kind", ["materialized view", "foreign table"])
def test_what_cannot_have_triggers_is_found(context: Context, kind: str):
    adopt(context)
    execute(
        context,
        "CREATE MATERIALIZED VIEW shop.country AS SELECT 1::bigint AS no"
        if kind == "materialized view"
        else "CREATE FOREIGN DATA WRAPPER nothing; CREATE SERVER nowhere FOREIGN DATA WRAPPER nothing;"
        "CREATE FOREIGN TABLE shop.country (no bigint) SERVER nowhere",
    )
    execute(
        context,
        "CREATE OR REPLACE VIEW shop.named AS SELECT c.no, c.form, c.mail, p.name FROM shop.customer AS c"
        " LEFT JOIN shop.profile AS p ON p.customer_no = c.no WHERE c.active"
        " AND c.no NOT IN (SELECT l.no FROM shop.country AS l)",
    )
    with context.contacts.transaction() as conn:
        assert capture.warnings(conn) == [f"Changes may be missing: shop.country is a {kind}"]


def test_without_contacts_the_remedy_is_told(context: Context):
    execute(context, "DROP TABLE contact")
    assert found(context) == ["there is no table or view `contact`"]


def test_an_export_is_not_lost_when_the_check_is_impossible(context: Context, keeper: str, caplog):
    contact_changed(context)
    execute(context, f"GRANT SELECT ON ALL TABLES IN SCHEMA public TO {keeper}")
    execute(context, "REVOKE SELECT ON pg_catalog.pg_trigger FROM PUBLIC")
    program = as_role(context, keeper)
    assert "warnings" not in exported(program)
    assert "not checked whether all changes are logged" in caplog.text
    program.contacts.close()


def test_the_command_prints_findings_as_json(context: Context, runner):
    adopt(context)
    told = runner.invoke(args=["contacts", "check", "--json"])
    assert (told.exit_code, json.loads(told.stdout)) == (0, [])
    assert "ok" in runner.invoke(args=["contacts", "check"]).stdout
    execute(context, "ALTER TABLE shop.profile DISABLE TRIGGER profile_delete")
    told = runner.invoke(args=["contacts", "check", "--json"])
    assert (told.exit_code, json.loads(told.stdout)) == (
        1,
        [
            {
                "what": "the trigger profile_delete of shop.profile is disabled",
                "remedy": "run ALTER TABLE shop.profile ENABLE TRIGGER profile_delete",
            }
        ],
    )


def test_the_remedy_for_a_disabled_trigger_mends_it(context: Context):
    adopt(context)
    execute(context, 'ALTER TRIGGER profile_delete ON shop.profile RENAME TO "Profile ""gone"""')
    execute(
        context, "UPDATE adopted_table SET triggers = array_replace(triggers, 'profile_delete', 'Profile \"gone\"')"
    )
    assert found(context) == []
    execute(context, "ALTER TABLE shop.profile DISABLE TRIGGER ALL")
    for remedy in remedies(context):
        execute(context, remedy.removeprefix("run "))
    assert found(context) == []

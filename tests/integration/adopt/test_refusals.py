"""Each wrong input is refused in one line that names the table, column, key or field, and nothing is done."""

import psycopg2
import pytest

from contactexport.adopt import inspect
from contactexport.adopt.models import FieldMapping, FieldWish, Join, OriginRule, Plan
from contactexport.adopt.resolve import prepare
from contactexport.context import Context
from contactexport.errors import ContactExportError
from tests.support.adopting import look, make_crm
from tests.support.exporting import execute
from tests.support.sql_rows import for_all_sessions, value

NO_SOURCE = OriginRule("api", "0")


@pytest.fixture
def crm(context: Context) -> Context:
    make_crm(context)
    return context


def refusal(context: Context, *wishes: FieldWish, table: str = "customer", **options) -> str:
    with pytest.raises(ContactExportError) as refused:
        look(context, table, *wishes, **options)
    assert "\n" not in refused.value.text
    assert value(context.contacts, "SELECT to_regclass('pg_temp.contactexport_probe') IS NULL")
    return refused.value.text


KEYS = """
CREATE TABLE crm.keyless (no integer, mail text);
CREATE TABLE crm.pair (a integer, b integer, PRIMARY KEY (a, b));
CREATE TABLE crm.nullable (no integer UNIQUE, mail text);
CREATE TABLE crm.partly (no integer NOT NULL, mail text);
CREATE UNIQUE INDEX ON crm.partly (no) WHERE mail IS NOT NULL;
CREATE TABLE crm.named (code text PRIMARY KEY, mail text);
CREATE TABLE crm.numbered (no numeric PRIMARY KEY, mail text);
"""


@pytest.mark.parametrize(
    ("table", "key", "expected"),
    [
        ("keyless", "", "crm.keyless has no primary key of one column, and no column is unique by itself"),
        ("keyless", "no", "The key crm.keyless.no is not unique: a primary key or a unique index on this column alone"),
        ("pair", "a", "The key crm.pair.a is not unique"),
        ("nullable", "no", "The key crm.nullable.no may be NULL: make it NOT NULL"),
        ("partly", "no", "The key crm.partly.no is not unique"),
        ("named", "code", "The key crm.named.code has the type text: smallint, integer, bigint or uuid expected"),
        ("numbered", "no", "The key crm.numbered.no has the type numeric: smallint"),
        ("customer", "customerno", "crm.customer has no column customerno. It has customer_no"),
        ("customr", "no", "TABLE: there is no table customr. Is it crm.customer?"),
        ("elsewhere.customer", "no", "TABLE: there is no table elsewhere.customer. Is it crm.customer?"),
        ("a b", "no", "TABLE: "),
        ("a.b.c.d", "no", "TABLE: improper relation name (too many dotted names): a.b.c.d"),
    ],
)
def test_a_table_needs_a_unique_key_of_a_known_type(crm, table, key, expected):
    execute(crm, KEYS)
    assert refusal(crm, table=table, key=key).startswith(expected)


def test_a_foreign_table_and_a_view_over_one_are_refused(crm):
    execute(
        crm,
        "CREATE FOREIGN DATA WRAPPER wrapper; CREATE SERVER far FOREIGN DATA WRAPPER wrapper;"
        "CREATE FOREIGN TABLE crm.remote (no integer, mail text) SERVER far;"
        "CREATE VIEW crm.near AS SELECT * FROM crm.remote",
    )
    assert refusal(crm, table="remote", key="no").startswith("TABLE: crm.remote is a foreign table: changes are made")
    assert refusal(crm, view="SELECT no AS id, mail FROM near").startswith(
        "crm.remote, which crm.near reads, is a foreign table: changes are made where it is stored"
    )


def test_a_materialized_view_and_a_view_over_one_are_refused(crm):
    execute(
        crm,
        "CREATE MATERIALIZED VIEW crm.stored AS SELECT customer_no AS no, mail FROM crm.customer;"
        "CREATE VIEW crm.outer AS SELECT * FROM crm.stored",
    )
    assert refusal(crm, table="stored", key="no").startswith("TABLE: crm.stored is a materialized view")
    assert refusal(crm, view="SELECT no AS id, mail FROM crm.outer").startswith(
        'crm.stored, which crm."outer" reads, is a materialized view: it changes by REFRESH only'
    )


def test_a_view_is_adopted_by_a_select_of_it(crm):
    execute(crm, "CREATE VIEW crm.active AS SELECT customer_no AS no, mail FROM crm.customer WHERE active")
    assert refusal(crm, table="active", key="no").startswith("TABLE: crm.active is a view: write a SELECT of it")
    assert look(crm, view="SELECT no AS id, mail FROM active", origin=NO_SOURCE).plan.key == "id"


def test_system_tables_are_refused(crm):
    told = refusal(crm, view="SELECT oid::bigint AS id, relname AS mail FROM pg_class")
    assert told == "--view reads no table of yours: there are no changes to see"


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("ROW(mail, sex)", "has the type record, which COPY cannot write from a view: try (ROW(mail, sex))::text"),
        ("ARRAY[ROW(1, 2)]", "has the type record[], which COPY cannot write from a view"),
        ("pg_sleep(0)", "has the type void, which COPY cannot write from a view"),
    ],
)
def test_a_type_that_no_column_can_have_is_refused(crm, expression, expected):
    told = refusal(crm, FieldWish("106540", expression))
    assert told.startswith(f"The field 106540 ({expression}) {expected}")


@pytest.mark.parametrize(
    "type_", ["point", "int4range", "inet", "xml", "bit(3)", "pg_lsn", "tsvector", "bytea", "crm.pair"]
)
def test_every_type_that_a_column_can_have_is_written_by_copy(crm, type_):
    """COPY writes values as text, which every type has that a column may be of: also a composite one."""
    execute(crm, "CREATE TYPE crm.pair AS (a integer, b text)")
    execute(crm, f"ALTER TABLE crm.customer ADD COLUMN odd {type_}")
    assert look(crm, "customer", FieldWish("106540", "odd")).plan.fields[0].expression == "odd"


def test_two_mappings_for_one_field_are_refused(crm):
    told = refusal(crm, FieldWish("3", "mail"), FieldWish("email", "lower(mail)"))
    assert told == "The field 3 is mapped twice: to mail and to lower(mail)"


def test_a_field_id_that_is_taken_is_refused(crm):
    execute(crm, "INSERT INTO contact_field VALUES (106533, 'Loyalty number', 'shorttext', 'loyalty_number')")
    assert refusal(crm, FieldWish("106533", "visits")) == (
        'The field id 106533 (visits) is taken: it is "Loyalty number", column loyalty_number. '
        "Choose another id, or `flask fields remove 106533`"
    )


@pytest.mark.parametrize(
    ("wish", "expected"),
    [
        (FieldWish("1", "given_nam"), '--field 1=given_nam: column "given_nam" does not exist'),
        (FieldWish("shoes", "visits"), "--field shoes=visits: shoes is neither the id of a field nor a name"),
        (FieldWish("99999999999", "visits"), "--field 99999999999=visits: 99999999999 is neither the id of a field"),
        (FieldWish("1", "mail; DROP TABLE crm.customer"), "--field 1=mail; DROP TABLE crm.customer: 'mail; DROP TABLE"),
        (FieldWish("1", "mail) FROM crm.customer; ("), "--field 1=mail) FROM crm.customer; (: a bracket is closed"),
        (FieldWish("1", "coalesce(mail"), "--field 1=coalesce(mail: 'coalesce(mail' is not an expression"),
        (FieldWish("1", "mail ||"), "--field 1=mail ||: syntax error at or near"),
        (
            FieldWish("5", "visits::text"),
            "The field 5 (visits::text) is a choice, and its values (0) are not recognised",
        ),
        (FieldWish("5", "sex", {"m": 7}), "The field 5 (sex) has no choice 7. Its choices are 1 (Male), 2 (Female)"),
        (FieldWish("0", "mail"), "The field 0 (mail) has the type text, an array of whole numbers expected"),
    ],
)
def test_a_wrong_field_is_named(crm, wish, expected):
    assert refusal(crm, wish).startswith(expected)


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"where": "activ"}, '--where: column "activ" does not exist. Perhaps you meant to reference the column'),
        ({"where": "visits"}, "--where: argument of WHERE must be type boolean, not type integer"),
        ({"joins": (Join("profil", "true"),)}, "--join: there is no table profil. Is it crm.profile?"),
        (
            {"joins": (Join("profile", "profile.no = customer_no"),)},
            "--join crm.profile: column profile.no does not exist",
        ),
        ({"joins": (Join("f(1)", "true"),)}, "--join: 'f(1)' is not the name of a table"),
        ({"origin": OriginRule(expression="form")}, '--origin form=form: column "form" does not exist'),
        ({"origin": OriginRule(expression="mail")}, "--origin form=mail has the type text, a whole number expected"),
        (
            {"origin": OriginRule(through=("membr", "a", "b"))},
            "--origin-through: there is no table membr. Is it crm.member?",
        ),
        ({"origin": OriginRule(through=("member", "no", "list_id"))}, "crm.member has no column no. It has"),
        (
            {"origin": OriginRule(through=("profile", "city", "user_no"))},
            "--origin-through crm.profile.city: operator does not exist: text = bigint",
        ),
        (
            {"origin": OriginRule(through=("profile", "user_no", "city"))},
            "crm.profile.city has the type text, a whole number expected",
        ),
        ({"origin": OriginRule(names=("lists", "name", "id"))}, "crm.lists.name has the type text, a whole number"),
        ({"origin": OriginRule(names=("lists", "id", "title"))}, "crm.lists has no column title. It has id, name"),
    ],
)
def test_a_wrong_option_is_named(crm, options, expected):
    assert refusal(crm, FieldWish("3", "mail"), **options).startswith(expected)


@pytest.mark.parametrize(
    ("view", "expected"),
    [
        ("SELECT mail FROM customer", "--view: the SELECT gives no column id. It gives mail"),
        ("SELECT mail AS id FROM customer", "The key id of the SELECT has the type text: smallint"),
        ("SELECT customer_no AS id, nothing FROM customer", '--view: column "nothing" does not exist'),
        ("SELECT customer_no AS id, mail FROM customers", '--view: relation "customers" does not exist'),
        ("SELECT customer_no AS id, 1 AS origin_id, mail FROM customer", "--view: the SELECT gives origin_id only"),
        (
            "SELECT customer_no AS id, 'form' AS origin_kind, mail AS origin_id FROM customer",
            "--view: origin_id has the type text, a whole number expected",
        ),
        (
            "SELECT customer_no AS id, mail FROM customer",
            "--view: the SELECT does not tell the origin: add it, such as",
        ),
    ],
)
def test_a_wrong_select_is_refused(crm, view, expected):
    assert refusal(crm, view=view).startswith(expected)


@pytest.mark.parametrize(
    ("view", "expected"),
    [
        ("SELECT customer_no AS id FROM customer", "There is no field to export"),
        (
            "SELECT customer.customer_no AS id, mail FROM customer JOIN orders USING (customer_no)",
            "The contact 1 has 2 rows: each contact must have one",
        ),
        ("SELECT p.user_no AS id, mail FROM customer LEFT JOIN profile p ON false", "The key id is NULL in 2 rows"),
    ],
)
def test_a_select_whose_rows_are_no_contacts_is_refused(crm, view, expected):
    assert refusal(crm, view=view, origin=NO_SOURCE).startswith(expected)


def test_a_join_that_repeats_contacts_is_refused(crm):
    joins = (Join("orders", "orders.customer_no = customer.customer_no"),)
    assert refusal(crm, FieldWish("3", "mail"), joins=joins) == (
        "The contact 1 has 2 rows: join tables on columns that are unique"
    )


@pytest.fixture
def role(crm):
    """The session's role, which may read all and watch nothing."""
    name = f"reader_of_{value(crm.contacts, 'SELECT current_database()')}"
    execute(
        crm,
        f"CREATE ROLE {name}; GRANT USAGE ON SCHEMA crm, public TO {name}; GRANT SELECT ON crm.customer TO {name};"
        f"GRANT SELECT ON ALL TABLES IN SCHEMA public TO {name}",
    )
    for_all_sessions(crm.contacts, f"SET role = {name}")
    yield name
    execute(crm, f"SET ROLE NONE; DROP OWNED BY {name}; DROP ROLE {name}")


def test_a_role_without_rights_is_told_which_it_lacks(crm, role):
    assert refusal(crm, FieldWish("3", "mail")) == (
        f"The role {role} lacks a right on crm.customer: GRANT UPDATE, DELETE, TRIGGER ON crm.customer TO {role}"
    )
    joins = (Join("profile", "profile.user_no = customer_no"),)
    assert (
        refusal(crm, FieldWish("3", "mail"), joins=joins) == "--join crm.profile: permission denied for table profile"
    )


def test_hidden_rows_are_told(crm, role):
    execute(crm, "SET ROLE NONE; ALTER TABLE crm.customer ENABLE ROW LEVEL SECURITY")
    crm.contacts.close()
    assert refusal(crm, FieldWish("3", "mail")).startswith(
        'Rows would be missing: query would be affected by row-level security policy for table "customer"'
    )


def test_a_read_only_server_is_refused(crm):
    for_all_sessions(crm.contacts, "SET default_transaction_read_only = on")
    assert refusal(crm).startswith("The contacts' database is read-only")


def test_a_locked_table_is_named_with_who_locks_it(crm, monkeypatch):
    monkeypatch.setattr(inspect, "LOCK_TIMEOUT", "200ms")
    locking = psycopg2.connect(crm.database.url, application_name="nightly load")
    try:
        locking.cursor().execute("LOCK TABLE crm.customer")
        assert refusal(crm).startswith("crm.customer is locked by nightly load (process ")
    finally:
        locking.close()


def test_columns_of_one_name_are_refused(crm):
    fields = (
        FieldMapping(1, "First Name", "shorttext", "name", "given_name"),
        FieldMapping(2, "Last Name", "shorttext", "name", '"Family Name"'),
    )
    with inspect.inspection(crm.contacts, lambda _step: None) as looking:
        with pytest.raises(ContactExportError, match="The column name is named twice: by the fields 1 and 2"):
            prepare(looking, Plan("customer", "", fields))
        with pytest.raises(ContactExportError, match="The field 1 cannot have the column origin_id"):
            prepare(looking, Plan("customer", "", (FieldMapping(1, "First Name", "shorttext", "origin_id", "mail"),)))

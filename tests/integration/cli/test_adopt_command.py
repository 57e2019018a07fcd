"""`flask contacts adopt` and `release`: what they print, ask and do, and that a refusal does nothing."""

import json

import pytest

from contactexport.context import Context
from tests.support.adopting import make_crm
from tests.support.exporting import execute
from tests.support.sql_rows import rows, value

CUSTOMER = ["contacts", "adopt", "customer", "--origin", "form=signup_form"]
FIELDS = ["--field", "1=given_name", "--field", "3=mail", "--field", "5=sex:m=1,f=2"]


@pytest.fixture
def crm(context: Context) -> Context:
    make_crm(context)
    return context


def is_adopted(context: Context) -> bool:
    return value(context.contacts, "SELECT relkind = 'v' FROM pg_class WHERE oid = 'public.contact'::regclass")


def test_a_table_is_adopted_and_its_changes_are_logged(crm, runner):
    ended = runner.invoke(args=[*CUSTOMER, *FIELDS, "--yes"])
    assert (ended.exit_code, ended.stderr) == (0, "")
    assert "5      Gender      singlechoice  gender      sex         m=1, f=2" in ended.stdout
    printed, _, mapping = ended.stdout.partition("\n field ")
    assert 'CREATE VIEW "public"."contact" AS SELECT\n  customer_no AS id,\n' in printed
    assert "\n-- contact_field gets the fields 1, 3, 5, and contact_field_choice 2 labels of their choices\n" in printed
    assert "INSERT INTO contact_field" not in printed
    assert "CREATE" not in mapping
    assert ended.stdout.splitlines()[-1] == "adopted 3 fields, watching crm.customer"
    execute(crm, "UPDATE crm.customer SET mail = 'new@example.com' WHERE customer_no = 1")
    assert rows(crm.contacts, "SELECT contact_id, origin_kind, origin_id, kind FROM contact_change") == [
        {"contact_id": 1, "origin_kind": "form", "origin_id": 1, "kind": "u"}
    ]
    assert rows(crm.contacts, "SELECT id, first_name, email, gender FROM public.contact ORDER BY id") == [
        {"id": 1, "first_name": "Jo", "email": "new@example.com", "gender": 1},
        {"id": 2, "first_name": "Eve", "email": "eve@example.com", "gender": 2},
    ]


def test_a_proposal_is_adopted_and_released(crm, runner):
    ended = runner.invoke(args=["contacts", "adopt", "customer", "--yes"])
    assert ended.exit_code == 0, ended.output
    assert "password is left out, because its name is that of a secret" in ended.stderr
    assert is_adopted(crm)
    assert value(crm.contacts, "SELECT country FROM public.contact WHERE id = 1") == 10
    ended = runner.invoke(args=["contacts", "release", "--yes"])
    assert (ended.exit_code, ended.stdout) == (0, "released: the table is as it was\n")
    assert not is_adopted(crm)


def test_joins_conditions_and_memberships_are_adopted(crm, runner):
    arguments = [
        *("contacts", "adopt", "customer", "--where", "active", "--yes", "--json", "--first-export"),
        *(
            "--join",
            "profile ON profile.user_no = customer.customer_no",
            "--field",
            "3=mail",
            "--field",
            "11=profile.city",
        ),
        *("--origin-through", "member(customer_no, list_id)", "--origin-names", "lists(id, name)"),
    ]
    execute(crm, "INSERT INTO crm.lists VALUES (7, 'News'); INSERT INTO crm.member VALUES (1, 7)")
    ended = runner.invoke(args=arguments)
    assert ended.exit_code == 0, ended.output
    applied = json.loads(ended.stdout)["applied"]
    assert {"crm.customer", "crm.profile", "crm.member"} <= set(applied["tables"])
    assert applied["logged"] == 2
    assert {"kind": "form", "id": 7, "name": "News"} in rows(crm.contacts, "SELECT kind, id, name FROM origin")


def test_a_select_is_adopted(crm, runner, tmp_path):
    (tmp_path / "contacts.sql").write_text(
        "SELECT customer_no AS id, form, mail AS email FROM (\n"
        "SELECT *, signup_form AS form FROM customer) AS c WHERE active; -- all of them\n"
    )
    view = str(tmp_path / "contacts.sql")
    ended = runner.invoke(args=["contacts", "adopt", "--view", view, "--origin", "form=form", "--yes"])
    assert ended.exit_code == 0, ended.output
    assert value(crm.contacts, "SELECT email FROM public.contact WHERE id = 2") == "eve@example.com"


def test_a_dry_run_prints_and_changes_nothing(crm, runner):
    ended = runner.invoke(args=[*CUSTOMER, *FIELDS, "--dry-run"])
    assert ended.exit_code == 0, ended.output
    assert "given_name" in ended.stdout
    assert ended.stdout.splitlines()[-1] == "dry run, nothing was changed"
    assert not is_adopted(crm)
    assert value(crm.contacts, "SELECT count(*) FROM contact_field") == 0


def test_a_dry_run_needs_no_schema(crm, runner):
    execute(crm, "DROP SCHEMA public CASCADE; CREATE SCHEMA public")
    ended = runner.invoke(args=[*CUSTOMER, *FIELDS, "--dry-run"])
    assert ended.exit_code == 0, ended.output
    assert ended.stdout.splitlines()[-1] == ("dry run, nothing was changed (the SQL is shown after `flask db upgrade`)")
    assert value(crm.contacts, "SELECT to_regclass('public.contact')") is None


def test_an_empty_database_gets_the_schema_first(crm, runner):
    execute(crm, "DROP SCHEMA public CASCADE; CREATE SCHEMA public")
    ended = runner.invoke(args=[*CUSTOMER, *FIELDS, "--yes"])
    assert ended.exit_code == 0, ended.output
    assert is_adopted(crm)


def test_a_plan_is_written_edited_and_carried_out(crm, runner, tmp_path):
    path = tmp_path / "mapping.toml"
    ended = runner.invoke(args=[*CUSTOMER, *FIELDS, "--write-plan", str(path)])
    assert ended.exit_code == 0, ended.output
    assert not is_adopted(crm)
    path.write_text(path.read_text().replace('"mail"', '"lower(mail)"'))
    ended = runner.invoke(args=["contacts", "adopt", "--plan", str(path), "--yes", "--json"])
    assert ended.exit_code == 0, ended.output
    assert json.loads(ended.stdout)["plan"]["fields"][1]["expression"] == "lower(mail)"
    assert is_adopted(crm)


def test_adopting_again_changes_the_mapping(crm, runner):
    runner.invoke(args=[*CUSTOMER, *FIELDS, "--yes"])
    ended = runner.invoke(args=[*CUSTOMER, "--field", "2=given_name", "--yes"])
    assert ended.exit_code == 0, ended.output
    assert rows(crm.contacts, "SELECT id FROM contact_field") == [{"id": 2}]


def test_nobody_is_asked_without_a_terminal(crm, runner):
    ended = runner.invoke(args=[*CUSTOMER, *FIELDS])
    assert (ended.exit_code, ended.stderr) == (
        2,
        "Error: Without a terminal nobody can be asked: --yes, --dry-run or --write-plan expected\n",
    )
    ended = runner.invoke(args=["contacts", "release"])
    assert (ended.exit_code, ended.stderr) == (2, "Error: Without a terminal nobody can be asked: --yes expected\n")


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ([], "Name a table, or --view FILE or --plan FILE: see `flask contacts adopt --help`"),
        (["customer", "--plan", "x.toml"], "--plan and TABLE exclude each other: the plan says all of it"),
        (["--field", "1=a", "--plan", "x.toml"], "--plan and --field exclude each other: the plan says all of it"),
        (["customer", "--view", "x.sql"], "--view and TABLE exclude each other: the SELECT says it"),
        (["--view", "x.sql", "--where", "a"], "--view and --where exclude each other: the SELECT says it"),
        (["--view", "x.sql"], "x.sql cannot be read: No such file or directory"),
        (["--plan", "x.toml"], "x.toml cannot be read: No such file or directory"),
        (["customer", "--field", "5=sex:m"], "--field '5=sex:m': ID=EXPRESSION[:VALUE=CHOICE,…] expected, such as"),
        (["customer", "--key", "mail"], "The key crm.customer.mail is not unique: a primary key or a unique index"),
        (["customer", "--where", "activ"], '--where: column "activ" does not exist'),
        (["customer", "--field", "3=mail", "--field", "3=sex"], "The field 3 is mapped twice: to mail and to sex"),
    ],
)
def test_a_refusal_is_one_line_and_does_nothing(crm, runner, arguments, expected):
    ended = runner.invoke(args=["contacts", "adopt", *arguments, "--yes"])
    assert ended.exit_code == 2
    assert ended.stderr.startswith(f"Error: {expected}")
    assert (ended.stdout, ended.stderr.count("\n")) == ("", 1)
    assert not is_adopted(crm)


@pytest.mark.parametrize(
    ("field", "called"),
    [("11=crm.city_of(mail)", "crm.city_of(text)"), ("11=to_char(now(), locale)", "now(), current_date or the like")],
)
def test_a_function_whose_value_changes_by_itself_is_refused_in_any_expression(crm, runner, field, called):
    execute(
        crm,
        "CREATE TABLE crm.place (mail text, city text); CREATE FUNCTION crm.city_of(text) RETURNS text LANGUAGE sql"
        " STABLE SET search_path = crm AS 'SELECT city FROM place WHERE mail = $1'",
    )
    ended = runner.invoke(args=[*CUSTOMER, "--field", field, "--yes"])
    assert ended.exit_code == 2
    assert ended.stderr.startswith(f"Error: The SELECT calls {called}: its value changes without a change of any row")
    assert not is_adopted(crm)

"""What is proposed for the columns of a table, without any --field."""

import json
from dataclasses import asdict

import pytest

from contactexport.adopt.models import FieldWish, Join, OriginRule
from contactexport.context import Context
from tests.support.adopting import look, make_crm
from tests.support.exporting import execute


@pytest.fixture
def crm(context: Context) -> Context:
    make_crm(context)
    return context


def shown(prepared) -> dict[int, tuple[str, str, str, str]]:
    return {one.id: (one.name, one.application_type, one.column, one.expression) for one in prepared.plan.fields}


def test_columns_with_known_names_become_system_fields(crm):
    proposed = shown(look(crm, origin=OriginRule(expression="signup_form")))
    assert proposed[1] == ("First Name", "shorttext", "first_name", "given_name")
    assert proposed[2] == ("Last Name", "shorttext", "last_name", '"Family Name"')
    assert proposed[3] == ("E-Mail", "longtext", "email", "mail")
    assert proposed[4] == ("Date of Birth", "birthdate", "date_of_birth", "birthday")


def test_other_columns_become_custom_fields_by_their_types(crm):
    proposed = shown(look(crm, origin=OriginRule(expression="signup_form")))
    assert {number: one for number, one in proposed.items() if number >= 100_000} == {
        100_000: ("Active", "singlechoice", "active", "active"),
        100_001: ("Visits", "numeric", "visits", "visits"),
        100_002: ("Attribs", "largetext", "attribs", "attribs"),
    }


def test_values_of_choices_are_recognised(crm):
    fields = {one.id: one for one in look(crm).plan.fields}
    assert fields[5].values == {"m": 1, "f": 2}
    assert (fields[14].values["AT"], fields[14].values["US"], fields[14].values["DE"]) == (10, 185, 65)
    assert fields[35].values["de"] == 2
    assert fields[14].choices[10]["de"] == "Österreich"


def test_values_that_are_not_all_recognised_make_a_custom_field(crm):
    execute(crm, "UPDATE crm.customer SET sex = 'd', country = 'Atlantis' WHERE customer_no = 1")
    proposed = shown(look(crm))
    assert {5, 14} & set(proposed) == set()
    assert ("Sex", "shorttext", "sex", "sex") in proposed.values()
    assert ("Country", "longtext", "country", "country") in proposed.values()


def test_an_empty_table_has_no_choices_to_recognise(crm):
    execute(crm, "TRUNCATE crm.customer CASCADE")
    assert ("Sex", "shorttext", "sex", "sex") in shown(look(crm)).values()


def test_secrets_and_binaries_are_left_out_and_told(crm):
    prepared = look(crm)
    assert {"password", "photo"} & {one.expression for one in prepared.plan.fields} == set()
    assert prepared.notes == [
        "password is left out, because its name is that of a secret",
        "photo is left out, because its type is bytea",
    ]


def test_keys_and_columns_of_origin_and_joins_are_no_fields(crm):
    joins = (Join("profile AS p", "p.user_no = customer.customer_no"),)
    prepared = look(crm, origin=OriginRule(expression="signup_form"), joins=joins)
    expressions = {one.expression for one in prepared.plan.fields}
    assert expressions & {"customer.customer_no", "customer.signup_form", "p.user_no"} == set()
    proposed = shown(prepared)
    assert (proposed[11][3], proposed[13][3]) == ("p.city", "p.plz")
    assert proposed[3][3] == "customer.mail"


def test_columns_of_a_select_keep_their_names(crm):
    prepared = look(
        crm, view="SELECT customer_no AS id, mail, sex, visits FROM customer", origin=OriginRule("api", "0")
    )
    assert [(one.id, one.column) for one in prepared.plan.fields] == [
        (3, "mail"),
        (100_000, "sex"),
        (100_001, "visits"),
    ]


def test_tables_get_their_schemas(crm):
    origin = OriginRule(through=("member", "customer_no", "list_id"), names=("lists", "id", "name"))
    plan = look(crm, origin=origin, joins=(Join("profile p", "p.user_no = customer_no"),)).plan
    assert (plan.table, plan.joins[0].table) == ("crm.customer", "crm.profile AS p")
    assert (plan.origin.through[0], plan.origin.names[0]) == ("crm.member", "crm.lists")


def test_the_key_is_the_primary_key_unless_told(crm):
    assert look(crm, key="").plan.key == "customer_no"


def test_uuid_keys_are_taken(crm):
    execute(crm, "CREATE TABLE crm.shopper (no uuid PRIMARY KEY, mail text)")
    assert look(crm, "shopper", key="").plan.key == "no"


def test_a_wish_names_a_system_field_by_id_or_name(crm):
    plan = look(crm, "customer", FieldWish("1", "given_name"), FieldWish("email", "lower(mail)")).plan
    assert [(one.id, one.column, one.expression) for one in plan.fields] == [
        (1, "first_name", "given_name"),
        (3, "email", "lower(mail)"),
    ]


def test_a_wish_takes_a_key_of_json(crm):
    (field,) = look(crm, "customer", FieldWish("106540", "attribs->>'shoe size'")).plan.fields
    assert (field.name, field.column, field.application_type) == ("Shoe size", "shoe size", "longtext")


def test_values_of_a_custom_wish_become_choices(crm):
    (field,) = look(crm, "customer", FieldWish("106541", "sex", {"m": 1, "f": 2})).plan.fields
    assert (field.application_type, field.choices) == ("singlechoice", {1: {"en": "m"}, 2: {"en": "f"}})


def test_a_column_keeps_the_id_that_it_had_when_adopted_again(crm):
    former = look(crm, "customer", FieldWish("100007", "visits")).plan
    execute(crm, "CREATE TABLE IF NOT EXISTS adopted (plan jsonb)")
    execute(crm, "ALTER TABLE adopted ADD COLUMN IF NOT EXISTS program_version text DEFAULT ''")
    execute(crm, "INSERT INTO adopted (plan, program_version) VALUES (%s, '')", (json.dumps(asdict(former)),))
    fields = {one.expression: one.id for one in look(crm).plan.fields}
    assert (fields["visits"], fields["signup_form"], fields["active"]) == (100_007, 100_000, 100_001)

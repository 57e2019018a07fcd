"""Plans as TOML: what is written is read back, and what is wrong is named by its key."""

import json
from dataclasses import asdict

import pytest
import tomlkit

from contactexport.adopt import plan_file
from contactexport.adopt.models import FieldMapping, Join, OriginRule, Plan
from contactexport.errors import UsageError
from contactexport.system_fields import system_fields

GENDER = system_fields()[5]
FIELDS = (
    FieldMapping(5, "Gender", "singlechoice", "gender", "sex", {"m": 1, "f": 2}, GENDER.names, GENDER.choices),
    FieldMapping(106_540, "Size", "singlechoice", "size", "a->>'b'", {"4": 1}, {"en": "Size"}, {1: {"en": "small"}}),
    FieldMapping(106_541, "Hidden", "shorttext", "hidden", "hidden", exportable=False),
)
OF_TABLE = Plan(
    "crm.customer",
    "no",
    FIELDS,
    OriginRule("api", through=("crm.member", "no", "list"), names=("crm.lists", "id", "name")),
    (Join("crm.profile AS p", "p.no = customer.no"),),
    "active\n AND NOT deleted",
)
OF_VIEW = Plan("", "", FIELDS, view="SELECT 'a\\n' AS id\nFROM customer")


@pytest.mark.parametrize("plan", [OF_TABLE, OF_VIEW, Plan("", "", FIELDS, view="SELECT '''' AS id")])
def test_a_plan_is_read_as_it_was_written(plan, tmp_path):
    plan_file.write(plan, tmp_path / "mapping.toml")
    assert plan_file.read(tmp_path / "mapping.toml") == plan


@pytest.mark.parametrize("made", [asdict, plan_file.to_values])
def test_a_plan_is_read_from_json(made):
    assert plan_file.from_values(json.loads(json.dumps(made(OF_TABLE))), "adopted") == OF_TABLE


def test_names_and_choices_of_system_fields_are_not_written():
    assert "Männlich" not in plan_file.to_toml(OF_TABLE)
    assert "small" in plan_file.to_toml(OF_TABLE)


def test_a_system_field_needs_only_its_id_and_an_expression():
    values = tomlkit.parse('table = "customer"\n[[fields]]\nid = 1\nexpression = "given_name"').unwrap()
    (field,) = plan_file.from_values(values, "x").fields
    assert (field.name, field.column, field.names["de"]) == ("First Name", "first_name", "Vorname")


def test_a_file_that_is_there_is_not_overwritten(tmp_path):
    path = tmp_path / "mapping.toml"
    path.write_text("edited")
    with pytest.raises(UsageError, match="exists already: remove it, or name another file"):
        plan_file.write(OF_TABLE, path)
    assert path.read_text() == "edited"


FIELD = 'table = "a"\n[[fields]]\nid = 3\nexpression = "mail"\n'


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("table =", "is not TOML: "),
        ('tabel = "a"', "tabel is not known: table, key, where, view, origin, joins, fields expected"),
        ('table = "a"', "no field found, one [[fields]] at least expected"),
        ('table = "a"\nfields = 1', "fields: a list of tables expected, 1 found"),
        ('table = "a"\njoins = [3]', "joins[1]: a table expected, 3 found"),
        ('table = "a"\n[[joins]]\ntable = "b"', "joins[1].condition is missing"),
        ('table = "a"\n[[fields]]\nid = "3"', "fields[1].id: a whole number from 0 on expected, '3' found"),
        ('table = "a"\n[[fields]]\nid = 3', "fields[1].expression is missing"),
        ('table = "a"\n[[fields]]\nid = 100000\nexpression = "x"', "fields[1].name is missing"),
        (FIELD + 'colum = "x"', "fields[1].colum is not known: id, name"),
        (FIELD + 'application_type = "number"', "fields[1].application_type: one of birthdate, date"),
        (FIELD + 'values = {m = "one"}', "fields[1].values.m: a whole number from 0 on expected, 'one' found"),
        (FIELD + 'names = {xx = "x"}', "fields[1].names.xx: the code of a language such as en expected"),
        (FIELD + 'choices = {a = {en = "x"}}', "fields[1].choices.a: the id of a choice expected"),
        (FIELD + "exportable = 1", "fields[1].exportable: true or false expected, 1 found"),
        (r'table = "a\u0000"', r"table: a text expected, 'a\x00' found"),
        ('view = "SELECT"\n' + FIELD, "either table or view expected, both found"),
        (FIELD.replace('table = "a"', 'key = "a"'), "either table or view expected, none found"),
        ('table = "a"\n[origin]\nkind = "list"', "origin.kind: form or api expected, 'list' found"),
        ('table = "a"\n[origin]\nthrough = ["a"]', "origin.through: [table, column, column] expected, ['a'] found"),
    ],
)
def test_a_wrong_file_is_named_with_its_key(tmp_path, text, expected):
    path = tmp_path / "mapping.toml"
    path.write_text(text)
    with pytest.raises(UsageError) as refused:
        plan_file.read(path)
    assert refused.value.text.removeprefix(f"{path}: ").removeprefix(f"{path} ").startswith(expected)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(UsageError, match=r"mapping\.toml cannot be read: No such file"):
        plan_file.read(tmp_path / "mapping.toml")

"""Tables and columns of any name are adopted, by options and by a plan's file, and their changes are logged."""

import json

import pytest

from contactexport.context import Context
from tests.support.adopting import make_crm
from tests.support.exporting import execute
from tests.support.logged import forget_log, logged
from tests.support.sql_rows import rows

NAMES = [
    "Person",
    "big table",
    'qu"ote',
    "apo'strophe",
    "per%cent %s %(x)s",
    "select",
    "user",
    "a" * 63,
    "Ä" * 31,
    "a.b; --c",
    "(br/*ack",
    "{brace} $1 [red]",
    "back\\slash",
    "a:m=1,",
    "id",
    "contact",
    "n",
]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("mail || '\udcff'", "Error: '\\udcff' is no character of UTF-8"),
        ("(" * 3000 + "mail" + ")" * 3000, "Error: The SQL is nested too deeply to be understood: write it plainer"),
        ("tableoid::regclass", "Error: crm.customer.tableoid is a system column, whose changes are not seen"),
    ],
    ids=["bytes", "brackets", "system column"],
)
def test_odd_text_is_refused_in_one_line(context: Context, runner, text: str, said: str):
    make_crm(context)
    ended = runner.invoke(args=["contacts", "adopt", "customer", "--field", f"3={text}", "--yes"])
    assert (ended.exit_code, ended.stderr) == (2, f"{said}\n")


def quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


TABLES = """
    DELETE FROM contact_field; CREATE SCHEMA {q};
    CREATE TABLE {q}.{q} ({q} integer PRIMARY KEY, {form} integer, {mail} text);
    CREATE TABLE {q}.{other} ({q} integer UNIQUE, {mail} text, {list} integer, UNIQUE ({q}, {list}));
    CREATE TABLE {q}.{lists} ({q} integer, {mail} text);
    INSERT INTO {q}.{q} VALUES (1, 7, 'jo@example.com');
    INSERT INTO {q}.{other} VALUES (1, 'Linz', 8);
    INSERT INTO {q}.{lists} VALUES (7, 'News'), (8, 'Offers');
"""


def parts_of(name: str) -> dict[str, str]:
    """Names that differ in the last letter, so that none is longer."""
    short = name.encode()[:62].decode(errors="ignore")
    ends = {"form": "f", "mail": "m", "other": "o", "list": "l", "lists": "z"}
    return {"q": quoted(name)} | {one: quoted(short + end) for one, end in ends.items()}


def arguments_for(name: str, *, through: bool) -> list[str]:
    options = {
        "--key": "{q}",
        "--join": "{q}.{other} ON {other}.{q} = {q}.{q}",
        "--where": "{q}.{mail} <> 'x'",
        "--origin-names": "{q}.{lists}({q}, {mail})",
        **({"--origin-through": "{q}.{other}({q}, {list})"} if through else {"--origin": "form={q}.{form}"}),
    }
    texts = ["contacts", "adopt", "{q}.{q}", "--field", "3={q}.{mail}", "--field", "100000={other}.{mail}"]
    texts += [text for option in options.items() for text in option]
    return [one.format(**parts_of(name)) for one in texts]


def made_by(result: dict) -> list[str]:
    """The statements, without those by which the former mapping is compared and taken away."""
    made = [one for one in result["statements"] if "contact_former" not in one]
    return [one for one in made if not one.startswith(("DROP", "ALTER TABLE"))]


@pytest.mark.parametrize(
    ("name", "through"), [*((one, False) for one in NAMES), *((one, True) for one in ("Person", 'qu"ote', "100%s"))]
)
def test_names_are_quoted_where_needed(context: Context, runner, tmp_path, name: str, through: bool):
    parts = parts_of(name)
    execute(context, TABLES.format(**parts).replace("%", "%%"), ())
    arguments, file = arguments_for(name, through=through), str(tmp_path / "mapping.toml")
    written = runner.invoke(args=[*arguments, "--write-plan", file])
    assert written.exit_code == 0, written.output
    ended = runner.invoke(args=[*arguments, "--yes", "--json"])
    assert ended.exit_code == 0, ended.output
    by_options = json.loads(ended.stdout)
    ended = runner.invoke(args=["contacts", "adopt", "--plan", file, "--yes", "--json"])
    assert ended.exit_code == 0, ended.output
    by_file = json.loads(ended.stdout)
    assert by_file["plan"] == by_options["plan"]
    assert made_by(by_file) == made_by(by_options)
    assert f"{name}.{name}" in by_file["applied"]["tables"]
    execute(context, "UPDATE {q}.{q} SET {mail} = 'eve@example.com'".format(**parts).replace("%", "%%"), ())
    execute(context, "UPDATE {q}.{other} SET {mail} = 'Graz'".format(**parts).replace("%", "%%"), ())
    changes = [entry for entry in logged(context) if entry[3] == "u"]
    assert changes == [("1", "form", 8 if through else 7, "u")] * 2
    names = {
        row["id"]: row["name"] for row in rows(context.contacts, "SELECT id, name FROM origin WHERE kind = 'form'")
    }
    assert names[7] == "News"
    assert runner.invoke(args=["contacts", "check"]).exit_code == 0
    forget_log(context)
    assert runner.invoke(args=["contacts", "release", "--yes"]).exit_code == 0

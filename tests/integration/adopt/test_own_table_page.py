"""docs/own-table.md: its commands and SQL do what it says, and print what it shows."""

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psycopg2
import pytest
from flask import Flask
from flask.testing import FlaskCliRunner

from contactexport.adopt import check
from contactexport.context import Context
from tests.support.adopted import adopt_by_hand
from tests.support.contexts import database_url
from tests.support.empty_databases import empty_database
from tests.support.exporting import context_with, execute, other_session
from tests.support.sql_texts import OWN_TABLE

PAGE = OWN_TABLE.read_text(encoding="utf-8")
BLOCK = re.compile(r"^```(?P<language>\w+)\n(?P<text>.*?)^```", re.MULTILINE | re.DOTALL)
FILE = re.compile(r"^cat > (?P<name>\S+) <<'END'\n(?P<text>.*?)^END\n", re.MULTILINE | re.DOTALL)
TIME = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d")
SCHEMA_FILE = re.compile(r"tests/schemas/\w+\.sql")
ASKS = ("adopt", "release")
ASKED = "Adopt this table? [y/N]: y"


@dataclass(frozen=True)
class Block:
    """A block of the page, in the language `sh`, `sql` or `text`."""

    language: str
    text: str


def section(heading: str) -> str:
    """What is below a heading of the page, up to the next one of any level."""
    return re.split(r"^#+ ", PAGE.partition(f"# {heading}\n")[2], maxsplit=1, flags=re.MULTILINE)[0]


def blocks(heading: str) -> list[Block]:
    found = [Block(one["language"], one["text"]) for one in BLOCK.finditer(section(heading))]
    assert found, heading
    return found


def commands(script: str, folder: Path) -> Iterator[list[str]]:
    """The words of each `flask` command of a script; its files are written."""
    for file in FILE.finditer(script):
        (folder / file["name"]).write_text(file["text"], encoding="utf-8")
    for line in FILE.sub("", script).replace("\\\n", " ").splitlines():
        words = shlex.split(line)
        assert words[0] == "flask", line
        yield words[1:]


def lines(text: str) -> list[str]:
    return [TIME.sub("TIME", line.rstrip()) for line in text.splitlines()]


class Reader:
    """Does what the page says, in a database."""

    def __init__(self, context: Context, runner: FlaskCliRunner, folder: Path) -> None:
        self._context = context
        self._runner = runner
        self._folder = folder
        self._printed = ""

    def read(self, heading: str) -> None:
        """Runs a section. Each text must have been printed by the commands before it, line by line."""
        for block in blocks(heading):
            if block.language == "sql":
                execute(self._context, block.text)
            elif block.language == "sh":
                self._printed = "".join(map(self.run, commands(block.text, self._folder)))
            else:
                printed = iter(lines(self._printed))
                missing = [one for one in lines(block.text) if one not in ("", ASKED) and one not in printed]
                assert missing == [], self._printed[-2000:]
                assert ("Error" in self._printed) == ("Error" in block.text)

    def run(self, words: list[str]) -> str:
        asks = words[:1] == ["contacts"] and words[1] in ASKS and "--write-plan" not in words
        return self._runner.invoke(args=[*words, "--yes"] if asks else words).output


@pytest.fixture
def empty(context: Context, database_name: str, app: Flask) -> Iterator[Context]:
    with empty_database(context, f"{database_name}_own") as made:
        app.extensions["contactexport"] = made
        yield made


@pytest.fixture
def reader(empty: Context, runner: FlaskCliRunner, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Reader:
    monkeypatch.chdir(tmp_path)
    return Reader(empty, runner, tmp_path)


def test_one_table_is_adopted_checked_adopted_again_and_released(empty: Context, reader: Reader):
    reader.read("One table")
    renamed = [one for one in re.findall(r"`flask ([^`]+)`", section("One table")) if "rename" in one]
    assert [reader.run(shlex.split(one)) for one in renamed] == [
        "renamed form:1 Newsletter\n",
        "renamed 100000 Number of visits (numeric, column visits)\n",
    ]
    reader.read("Is everything logged?")
    reader.read("Adopting again, and undoing it")
    assert execute(empty, "SELECT count(*) AS triggers FROM pg_trigger WHERE tgrelid = 'customer'::regclass") == [
        {"triggers": 0}
    ]
    reader.read("What cannot be captured")


@pytest.mark.slow
@pytest.mark.parametrize(
    "heading",
    [
        "A newsletter tool",
        "Users of a web framework",
        "A shop",
        "A partitioned table",
        "A helpdesk",
    ],
)
def test_schema_is_adopted_as_the_page_shows(empty: Context, reader: Reader, heading: str):
    [file] = SCHEMA_FILE.findall(section(heading))
    execute(empty, Path(OWN_TABLE.parents[1] / file).read_text(encoding="utf-8"))
    reader.read(heading)
    assert check.check(empty) == []


def test_every_schema_is_an_example_of_the_page():
    folder = OWN_TABLE.parents[1] / "tests" / "schemas"
    assert {f"tests/schemas/{one.name}" for one in folder.glob("*.sql")} == set(SCHEMA_FILE.findall(PAGE))


def test_values_that_fail_are_listed(empty: Context, reader: Reader):
    execute(empty, (OWN_TABLE.parents[1] / "tests" / "schemas" / "newsletter.sql").read_text(encoding="utf-8"))
    reader.read("A newsletter tool")
    [listing] = re.findall(r"`(SELECT \* FROM contact_unreadable)`", PAGE)
    assert execute(empty, listing) == [{"id": 2, "column_name": "age"}]


@pytest.mark.slow
def test_a_role_adopts_and_releases_a_table_of_another_in_another_database(
    context: Context, empty: Context, app: Flask, runner: FlaskCliRunner, tmp_path: Path
):
    role = execute(empty, "SELECT 'keeper_of_' || current_database() AS name")[0]["name"]
    grant, revoke = (
        one.text.replace("contactexport", role) for one in blocks("Another database, a replica, roles")[1:]
    )
    table, rows = (one.text for one in blocks("One table") if one.language == "sql")
    execute(empty, f"{table} {rows} CREATE ROLE {role} LOGIN; CREATE ROLE {role}_shop LOGIN; {grant}")
    url = database_url(empty.database.url, f"{execute(empty, 'SELECT current_database() AS name')[0]['name']}")
    contacts = re.sub("//[^@:]+", f"//{role}", url, count=1)
    apart = context_with(context, contacts_database_url=contacts, schema=role)
    app.extensions["contactexport"] = apart
    try:
        reader = Reader(apart, runner, tmp_path)
        assert "adopted 4 fields" in reader.run(["contacts", "adopt", "customer", "--origin", "form=signup_form"])
        execute(empty, f"{revoke} GRANT SELECT, UPDATE ON customer TO {role}_shop")
        assert reader.run(["contacts", "check"]) == "ok: every change of contacts is logged\n"
        execute(
            empty, f"SET LOCAL ROLE {role}_shop; UPDATE customer SET mail = 'new@example.com' WHERE customer_no = 1"
        )
        assert execute(empty, f"SELECT contact_id FROM {role}.contact_change") == [{"contact_id": 1}]
        assert reader.run(["contacts", "release"]) == "released: the table is as it was\n"
    finally:
        apart.contacts.close()
        apart.database.close()
        execute(
            empty, f"DROP OWNED BY {role}, {role}_shop CASCADE; REVOKE pg_read_all_stats FROM {role};"
            f"DROP ROLE {role}, {role}_shop",
        )  # fmt: skip


def logged(context: Context) -> list[tuple[str, list[int]]]:
    found = execute(
        context,
        "SELECT concat(kind, ' ', origin_kind, ':', origin_id) AS what, contacts FROM ("
        " SELECT kind, origin_kind, origin_id, array_agg(contact_id ORDER BY contact_id) AS contacts"
        " FROM contact_change GROUP BY 1, 2, 3"
        " UNION ALL SELECT kind, origin_kind, origin_id, contact_ids FROM contact_removal) AS x ORDER BY 1",
    )
    execute(context, "DELETE FROM contact_change; DELETE FROM contact_removal")
    return [(row["what"], sorted(row["contacts"])) for row in found]


def test_triggers_by_hand_log_changes_and_removals(context: Context):
    adopt_by_hand(context)
    assert check.check(context) == []
    assert logged(context) == [("c form:1", [1])]
    execute(context, "INSERT INTO customer (mail) SELECT 'x' FROM generate_series(1, 300)")
    assert logged(context) == [("c api:0", list(range(2, 302)))]
    execute(context, "UPDATE customer SET visits = 9")
    assert logged(context) == []
    execute(context, "UPDATE customer SET signup_form = 1 WHERE customer_no IN (1, 2, 3)")
    assert logged(context) == [("m api:0", [2, 3]), ("u form:1", [2, 3])]
    execute(context, "UPDATE customer SET customer_no = DEFAULT WHERE customer_no = 2")
    assert logged(context) == [("c form:1", [302]), ("d form:1", [2])]
    execute(context, "DELETE FROM customer WHERE customer_no IN (3, 4, 5)")
    assert logged(context) == [("d api:0", [4, 5]), ("d form:1", [3])]
    execute(context, "TRUNCATE customer")
    assert logged(context) == [("d api:0", list(range(6, 302))), ("d form:1", [1, 302])]


def test_trigger_by_hand_fails_a_truncate_of_customers_that_its_transaction_does_not_see(context: Context):
    adopt_by_hand(context)
    with other_session(context, autocommit=False) as conn, conn.cursor() as cursor:
        cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ; SELECT FROM customer")
        execute(context, "INSERT INTO customer (mail) VALUES ('unseen@example.com')")
        with pytest.raises(psycopg2.errors.SerializationFailure, match="may delete contacts that this transaction"):
            cursor.execute("TRUNCATE customer")

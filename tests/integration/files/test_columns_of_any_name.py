"""A column of contacts may have any name, even one that the program's SQL uses for something else.

So the tests give contacts a column for every word in all of that SQL.
"""

import csv
import io

import pytest
from psycopg2 import sql

from contactexport.cli import contacts as contact_commands
from contactexport.context import Context
from tests.support import sql_texts
from tests.support.exporting import around_now, execute, export_file, exported_ids, settings_for

MANY = 110  # enough that the trigger compares one column first
# The last one is a name that an import makes.
ODD = ["100%s", "{columns}", 'a "quoted" name', "Größe", "value_1"]
PLAIN, SINGLE, MULTIPLE = 200_000, 300_000, 400_000


def add_columns(context: Context, table: str, words: list[str], kind: str) -> None:
    columns = [sql.SQL("ADD COLUMN IF NOT EXISTS {} {}").format(sql.Identifier(word), sql.SQL(kind)) for word in words]
    execute(context, sql.SQL("ALTER TABLE {} {}").format(sql.Identifier(table), sql.SQL(", ").join(columns)))


def add_fields(context: Context, words: list[str], first_id: int, application_type: str) -> None:
    execute(
        context,
        "INSERT INTO contact_field (id, name, application_type, column_name)"
        " SELECT %s + number, 'Field ' || %s + number, %s, word FROM unnest(%s) WITH ORDINALITY AS w (word, number)",
        (first_id, first_id, application_type, words),
    )


@pytest.fixture
def words(context: Context) -> list[str]:
    """Every word except the columns that contacts have already, and some odd names."""
    found = [*sql_texts.words([*sql_texts.queries(), *sql_texts.functions(context)]), *ODD]
    there = execute(context, "SELECT attname FROM pg_attribute WHERE attrelid = 'contact'::regclass AND attnum > 0")
    return sorted(set(found) - {row["attname"] for row in there})


@pytest.fixture
def texts(context: Context, words: list[str]) -> list[str]:
    """Contacts have a text column for every word, with a text field and a choice field."""
    add_columns(context, "contact", words, "text")
    add_fields(context, words, PLAIN, "shorttext")
    add_fields(context, words, SINGLE, "singlechoice")
    return words


@pytest.fixture
def lists(context: Context, words: list[str]) -> list[str]:
    """Contacts have a column with a list of choices for every word."""
    add_columns(context, "contact", words, "integer[]")
    add_fields(context, words, MULTIPLE, "multichoice")
    return words


def rows(file: bytes) -> list[list[str]]:
    return list(csv.reader(io.StringIO(file.decode())))


def logged(context: Context) -> list[int]:
    found = execute(context, "DELETE FROM contact_change RETURNING contact_id")
    return sorted(row["contact_id"] for row in found)


def add_contacts(context: Context, count: int) -> list[int]:
    found = execute(
        context,
        "INSERT INTO contact (origin_kind, origin_id) SELECT 'form', 123 FROM generate_series(1, %s) RETURNING id",
        (count,),
    )
    return [row["id"] for row in found]


def test_words_include_all_names_that_could_clash(words: list[str]):
    expected = {"n", "o", "c", "s", "m", "told", "nestloop", "all_changed", "new_contact", "old_contact", "changed"}
    expected |= {"contact_id", "import_line", "import_problems", "import_record", "value_1", "label", "position"}
    assert expected <= set(words)


@pytest.mark.parametrize("count", [1, 2, MANY])
def test_change_of_any_column_name_is_logged(context: Context, texts: list[str], count: int):
    contacts = add_contacts(context, count)
    assert logged(context) == contacts
    for word in [*sql_texts.words(sql_texts.functions(context)), *ODD]:
        if word in texts:
            execute(context, sql.SQL("UPDATE contact SET {} = 'changed'").format(sql.Identifier(word)))
            assert logged(context) == contacts, word
            execute(context, sql.SQL("UPDATE contact SET {} = 'changed'").format(sql.Identifier(word)))
            assert logged(context) == [], word


@pytest.mark.parametrize("count", [1, 2, MANY])
def test_change_of_all_columns_is_logged(context: Context, texts: list[str], count: int):
    contacts = add_contacts(context, count)
    values = sql.SQL(", ").join(sql.SQL("{} = 'x' || id").format(sql.Identifier(word)) for word in texts)
    logged(context)
    execute(context, sql.SQL("UPDATE contact SET {}").format(values))
    assert logged(context) == contacts


@pytest.mark.parametrize("spreadsheet", [False, True])
@pytest.mark.parametrize("export_type", ["changes", "registrations"])
@pytest.mark.parametrize("first_id", [PLAIN, SINGLE], ids=["plain", "choices"])
def test_column_of_any_name_is_exported(
    context: Context, texts: list[str], first_id: int, export_type: str, spreadsheet: bool
):
    contact = add_contacts(context, 1)[0]
    numbered = [
        sql.SQL("{} = {}").format(sql.Identifier(word), sql.Literal(f"v{n}")) for n, word in enumerate(texts, 1)
    ]
    execute(context, sql.SQL("UPDATE contact SET {}").format(sql.SQL(", ").join(numbered)))
    settings = settings_for(
        **around_now(),
        type=export_type,
        contact_fields=tuple(first_id + number for number in range(1, len(texts) + 1)),
        spreadsheet=spreadsheet,
    )
    [row] = rows(export_file(context, settings).removeprefix(b"\xef\xbb\xbf"))
    assert row[:-1] == [str(contact), *(f"v{n}" for n in range(1, len(texts) + 1))]


def test_list_column_of_any_name_is_exported(context: Context, lists: list[str]):
    execute(context, 'INSERT INTO contact_field_choice VALUES (%s, 1, \'{"en": "One"}\')', (MULTIPLE + 1,))
    contact = add_contacts(context, 1)[0]
    for number, word in enumerate(lists[:300], 1):
        statement = sql.SQL("UPDATE contact SET {} = ARRAY[1, {}]")
        execute(context, statement.format(sql.Identifier(word), sql.Literal(number)))
    fields = tuple(MULTIPLE + number for number in range(1, len(lists) + 1))
    [row] = rows(export_file(context, settings_for(**around_now(), contact_fields=fields)))
    assert row[:4] == [str(contact), "One, One", "1, 2", "1, 3"]
    assert row[300:302] == ["1, 300", ""]


def test_column_of_any_name_is_imported(context: Context, runner, texts: list[str], tmp_path):
    execute(context, "INSERT INTO contact (origin_kind, origin_id, email) VALUES ('form', 123, 'anna@example.com')")
    values = {
        mail: [f"{mail[0]}{number}" for number in range(len(texts))] for mail in ("anna@example.com", "bo@example.com")
    }
    with (file := tmp_path / "people.csv").open("w", newline="") as lines:
        header = ["3", *(str(PLAIN + number) for number in range(1, len(texts) + 1))]
        csv.writer(lines).writerows([header, *([mail, *row] for mail, row in values.items())])
    done = runner.invoke(contact_commands.group, ["import", str(file), "--origin", "form:123"])
    assert done.exit_code == 0, done.output
    columns = sql.SQL(", ").join(map(sql.Identifier, texts))
    found = execute(context, sql.SQL("SELECT email, ARRAY[{}] AS texts FROM contact").format(columns))
    assert {row["email"]: row["texts"] for row in found} == values


def test_own_table_of_guide_may_have_column_of_any_name(context: Context):
    table, around_it = sql_texts.own_table()
    execute(context, "DELETE FROM contact_field; DELETE FROM origin; " + table)
    add_columns(context, "customer", sql_texts.words([*sql_texts.own_table(), *sql_texts.functions(context)]), "text")
    execute(context, around_it)
    for count in (1, 2, MANY):
        execute(context, "DELETE FROM customer")
        made = execute(
            context,
            "INSERT INTO customer (signup_form, mail, n, o) SELECT 1, 'a', 'n', 'o' FROM generate_series(1, %s)"
            " RETURNING customer_no",
            (count,),
        )
        customers = [row["customer_no"] for row in made]
        assert logged(context) == customers
        execute(context, "UPDATE customer SET n = 'x', customer = 'y', visits = 3")
        assert logged(context) == []
        execute(context, "UPDATE customer SET given_name = 'Anna'")
        assert exported_ids(context, settings_for(**around_now(), origin_ids=(1,))) == customers
        assert logged(context) == customers

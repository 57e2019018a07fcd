"""A column of contacts may bear any name, also one that the program's SQL uses for something else.

So contacts get a column for every word of all that SQL, whatever is written there later.
"""

import csv
import io

import pytest
import sql_texts
from exporting import around_now, execute, export_file, exported_ids, settings_for
from psycopg2 import sql

from contactexport.backend import Backend
from contactexport.cli import contact_commands

MANY = 110  # so many that they are compared by one column first
ODD = ["100%s", "{columns}", 'a "quoted" name', "Größe"]
PLAIN, SINGLE, MULTIPLE = 200_000, 300_000, 400_000


def add_columns(backend: Backend, table: str, words: list[str], kind: str) -> None:
    columns = [sql.SQL("ADD COLUMN IF NOT EXISTS {} {}").format(sql.Identifier(word), sql.SQL(kind)) for word in words]
    execute(backend, sql.SQL("ALTER TABLE {} {}").format(sql.Identifier(table), sql.SQL(", ").join(columns)))


def add_fields(backend: Backend, words: list[str], first_id: int, application_type: str) -> None:
    execute(
        backend,
        "INSERT INTO contact_field (id, name, application_type, column_name)"
        " SELECT %s + number, 'Field ' || %s + number, %s, word FROM unnest(%s) WITH ORDINALITY AS w (word, number)",
        (first_id, first_id, application_type, words),
    )


@pytest.fixture
def words(backend: Backend) -> list[str]:
    """Every word but the names of the columns that contacts have anyway, and some that are no words."""
    found = [*sql_texts.words([*sql_texts.queries(), *sql_texts.functions(backend)]), *ODD]
    there = execute(backend, "SELECT attname FROM pg_attribute WHERE attrelid = 'contact'::regclass AND attnum > 0")
    return sorted(set(found) - {row["attname"] for row in there})


@pytest.fixture
def texts(backend: Backend, words: list[str]) -> list[str]:
    """Contacts have a text for every word, which is a field of its own and one with choices as well."""
    add_columns(backend, "contact", words, "text")
    add_fields(backend, words, PLAIN, "shorttext")
    add_fields(backend, words, SINGLE, "singlechoice")
    return words


@pytest.fixture
def lists(backend: Backend, words: list[str]) -> list[str]:
    """Contacts have a list of choices for every word."""
    add_columns(backend, "contact", words, "integer[]")
    add_fields(backend, words, MULTIPLE, "multichoice")
    return words


def rows(file: bytes) -> list[list[str]]:
    return list(csv.reader(io.StringIO(file.decode())))


def logged(backend: Backend) -> list[int]:
    found = execute(backend, "DELETE FROM contact_change RETURNING contact_id")
    return sorted(row["contact_id"] for row in found)


def add_contacts(backend: Backend, so_many: int) -> list[int]:
    found = execute(
        backend,
        "INSERT INTO contact (origin_kind, origin_id) SELECT 'form', 123 FROM generate_series(1, %s) RETURNING id",
        (so_many,),
    )
    return [row["id"] for row in found]


def test_the_words_are_those_that_could_be_taken_for_others(words: list[str]):
    expected = {"n", "o", "c", "s", "m", "told", "nestloop", "all_changed", "new_contact", "old_contact", "changed"}
    expected |= {"contact_id", "import_line", "import_problems", "import_record", "value_1", "label", "position"}
    assert expected <= set(words)


@pytest.mark.parametrize("so_many", [1, 2, MANY])
def test_contacts_are_logged_when_a_column_of_any_name_changes(backend: Backend, texts: list[str], so_many: int):
    contacts = add_contacts(backend, so_many)
    assert logged(backend) == contacts
    for word in [*sql_texts.words(sql_texts.functions(backend)), *ODD]:
        if word in texts:
            execute(backend, sql.SQL("UPDATE contact SET {} = 'changed'").format(sql.Identifier(word)))
            assert logged(backend) == contacts, word
            execute(backend, sql.SQL("UPDATE contact SET {} = 'changed'").format(sql.Identifier(word)))
            assert logged(backend) == [], word


@pytest.mark.parametrize("so_many", [1, 2, MANY])
def test_contacts_are_logged_when_all_columns_change(backend: Backend, texts: list[str], so_many: int):
    contacts = add_contacts(backend, so_many)
    values = sql.SQL(", ").join(sql.SQL("{} = 'x' || id").format(sql.Identifier(word)) for word in texts)
    logged(backend)
    execute(backend, sql.SQL("UPDATE contact SET {}").format(values))
    assert logged(backend) == contacts


@pytest.mark.parametrize("spreadsheet", [False, True])
@pytest.mark.parametrize("export_type", ["changes", "registrations"])
@pytest.mark.parametrize("first_id", [PLAIN, SINGLE], ids=["plain", "choices"])
def test_columns_of_any_name_are_exported(
    backend: Backend, texts: list[str], first_id: int, export_type: str, spreadsheet: bool
):
    contact = add_contacts(backend, 1)[0]
    numbered = [
        sql.SQL("{} = {}").format(sql.Identifier(word), sql.Literal(f"v{n}")) for n, word in enumerate(texts, 1)
    ]
    execute(backend, sql.SQL("UPDATE contact SET {}").format(sql.SQL(", ").join(numbered)))
    settings = settings_for(
        **around_now(),
        type=export_type,
        contact_fields=tuple(first_id + number for number in range(1, len(texts) + 1)),
        spreadsheet=spreadsheet,
    )
    [row] = rows(export_file(backend, settings).removeprefix(b"\xef\xbb\xbf"))
    assert row[:-1] == [str(contact), *(f"v{n}" for n in range(1, len(texts) + 1))]


def test_lists_of_any_name_are_exported(backend: Backend, lists: list[str]):
    execute(backend, 'INSERT INTO contact_field_choice VALUES (%s, 1, \'{"en": "One"}\')', (MULTIPLE + 1,))
    contact = add_contacts(backend, 1)[0]
    for number, word in enumerate(lists[:300], 1):
        statement = sql.SQL("UPDATE contact SET {} = ARRAY[1, {}]")
        execute(backend, statement.format(sql.Identifier(word), sql.Literal(number)))
    fields = tuple(MULTIPLE + number for number in range(1, len(lists) + 1))
    [row] = rows(export_file(backend, settings_for(**around_now(), contact_fields=fields)))
    assert row[:4] == [str(contact), "One, One", "1, 2", "1, 3"]
    assert row[300:302] == ["1, 300", ""]


def test_columns_of_any_name_are_imported(backend: Backend, runner, texts: list[str], tmp_path):
    execute(backend, "INSERT INTO contact (origin_kind, origin_id, email) VALUES ('form', 123, 'anna@example.com')")
    values = {
        mail: [f"{mail[0]}{number}" for number in range(len(texts))] for mail in ("anna@example.com", "bo@example.com")
    }
    with (file := tmp_path / "people.csv").open("w", newline="") as lines:
        header = ["3", *(str(PLAIN + number) for number in range(1, len(texts) + 1))]
        csv.writer(lines).writerows([header, *([mail, *row] for mail, row in values.items())])
    done = runner.invoke(contact_commands.group, ["import", str(file), "--origin", "form:123"])
    assert done.exit_code == 0, done.output
    columns = sql.SQL(", ").join(map(sql.Identifier, texts))
    found = execute(backend, sql.SQL("SELECT email, ARRAY[{}] AS texts FROM contact").format(columns))
    assert {row["email"]: row["texts"] for row in found} == values


def test_the_guide_s_table_may_have_columns_of_any_name(backend: Backend):
    table, around_it = sql_texts.own_table()
    execute(backend, "DELETE FROM contact_field; DELETE FROM origin; " + table)
    add_columns(backend, "customer", sql_texts.words([*sql_texts.own_table(), *sql_texts.functions(backend)]), "text")
    execute(backend, around_it)
    for so_many in (1, 2, MANY):
        execute(backend, "DELETE FROM customer")
        made = execute(
            backend,
            "INSERT INTO customer (signup_form, mail, n, o) SELECT 1, 'a', 'n', 'o' FROM generate_series(1, %s)"
            " RETURNING customer_no",
            (so_many,),
        )
        customers = [row["customer_no"] for row in made]
        assert logged(backend) == customers
        execute(backend, "UPDATE customer SET n = 'x', customer = 'y', visits = 3")
        assert logged(backend) == []
        execute(backend, "UPDATE customer SET given_name = 'Anna'")
        assert exported_ids(backend, settings_for(**around_now(), origin_ids=(1,))) == customers
        assert logged(backend) == customers

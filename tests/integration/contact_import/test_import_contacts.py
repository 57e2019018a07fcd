"""`flask contacts import`: what it accepts, what it refuses, and that it is all or nothing."""

import io
import threading
import time
import tracemalloc
from pathlib import Path

import pytest
from flask.testing import FlaskCliRunner

from contactexport.cli import exports
from contactexport.cli.contact_import import import_command
from contactexport.cli.errors import CommandGroup
from contactexport.contact_import import run as service
from contactexport.contact_import.run import ImportOrder, ImportResult
from contactexport.context import Context
from contactexport.errors import ContactExportError, DatabaseUnavailable, UsageError

contacts = CommandGroup("contacts", commands=[import_command])


def run(runner: FlaskCliRunner, content: str | bytes, *options: str, exit_code: int = 0, origin: str = "form:123"):
    result = runner.invoke(contacts, ["import", "-", "--origin", origin, *options], input=content)
    assert result.exit_code == exit_code, result.output
    return result


def unwatched(_doing: str, _done: int) -> None:
    pass


def import_here(context: Context, content: bytes, **order) -> ImportResult:
    return service.import_contacts(context.contacts, io.BytesIO(content), ImportOrder("form", 123, **order), unwatched)


def rows(context: Context, statement: str) -> list[tuple]:
    with context.contacts.transaction() as conn, conn.cursor() as cursor:
        cursor.execute(statement)
        return [tuple(row.values()) for row in cursor.fetchall()]


def execute(context: Context, statement: str) -> None:
    with context.contacts.transaction() as conn, conn.cursor() as cursor:
        cursor.execute(statement)


def emails(context: Context) -> list[str]:
    return [email for (email,) in rows(context, "SELECT email FROM contact ORDER BY id")]


def changes(context: Context) -> int:
    return rows(context, "SELECT count(*) FROM contact_change")[0][0]


def test_import_creates_contacts_of_the_origin_and_logs_them(runner: FlaskCliRunner, context: Context):
    result = run(
        runner, 'E-Mail,Vorname,5,Interests,Date of Birth\nada@x.at,Ada,Weiblich,"Health, Fitness, 2",1915-12-10\n'
    )
    assert result.stdout.startswith("created 1, updated 0, unchanged 0, rejected 0, ")
    assert rows(
        context, "SELECT email, first_name, gender, interests, date_of_birth::text, origin_kind, origin_id FROM contact"
    ) == [("ada@x.at", "Ada", 2, [10, 2], "1915-12-10", "form", 123)]
    assert rows(context, "SELECT origin_kind, origin_id FROM contact_change") == [("form", 123)]


def test_import_updates_contact_with_same_email_and_keeps_its_origin(runner: FlaskCliRunner, context: Context):
    run(runner, "email,first_name,city\nAda@x.at,Ada,Wien\n")
    result = run(runner, "email,first_name\nada@X.AT,Augusta\nnew@x.at,New\n", origin="api:456")
    assert result.stdout.startswith("created 1, updated 1, unchanged 0, rejected 0, ")
    assert rows(context, "SELECT email, first_name, city, origin_kind, origin_id FROM contact ORDER BY id") == [
        ("Ada@x.at", "Augusta", "Wien", "form", 123),
        ("new@x.at", "New", None, "api", 456),
    ]


def test_empty_value_empties_its_field(runner: FlaskCliRunner, context: Context):
    run(runner, "email,first_name,city\nada@x.at,Ada,Wien\n")
    run(runner, "email,city\nada@x.at,\n")
    assert rows(context, "SELECT first_name, city FROM contact") == [("Ada", None)]


def test_import_does_not_write_unchanged_contacts(runner: FlaskCliRunner, context: Context):
    run(runner, "email,first_name,city\na@x.at,Ada,\nb@x.at,Bea,\n")
    versions = rows(context, "SELECT xmin::text FROM contact ORDER BY id")
    result = run(runner, "email,first_name,city\na@x.at,Ada,\nb@x.at,Berta,\n")
    assert result.stdout.startswith("created 0, updated 1, unchanged 1, rejected 0, ")
    after = rows(context, "SELECT xmin::text FROM contact ORDER BY id")
    assert (after[0] == versions[0], after[1] == versions[1]) == (True, False)
    assert changes(context) == 3


def test_file_with_only_keys_creates_missing_contacts(runner: FlaskCliRunner, context: Context):
    run(runner, "email\na@x.at\n")
    assert run(runner, "email\na@x.at\nb@x.at\n").stdout.startswith("created 1, updated 0, unchanged 1, ")


def test_any_field_can_be_the_key(runner: FlaskCliRunner, context: Context):
    run(runner, "106533,email\nL1,a@x.at\n")
    run(runner, "Kundenkartennummer,email\nL1,b@x.at\nl1,c@x.at\n", "--key", "loyalty number")
    assert rows(context, "SELECT loyalty_number, email FROM contact ORDER BY id") == [
        ("L1", "b@x.at"),
        ("l1", "c@x.at"),
    ]


def test_values_are_stored_exactly_as_in_the_file(runner: FlaskCliRunner, context: Context):
    run(runner, 'email,first_name,last_name,city\r\na@x.at,"a\n\\.\n""b""",\\N,"x\ty"\r\n')
    assert rows(context, "SELECT first_name, last_name, city FROM contact") == [('a\n\\.\n"b"', "\\N", "x\ty")]


def test_import_reads_other_delimiters_encodings_and_a_byte_order_mark(runner, context: Context):
    run(runner, "email;first_name\na@x.at;Zoë\n".encode("cp1252"), "--delimiter", ";", "--encoding", "cp1252")
    run(runner, b"\xef\xbb\xbfemail\tfirst_name\nb@x.at\tZo\xc3\xab\n", "--delimiter", "tab")
    assert rows(context, "SELECT first_name FROM contact") == [("Zoë",), ("Zoë",)]


def test_bad_lines_are_reported_and_nothing_is_imported(runner, context: Context):
    execute(context, "INSERT INTO contact (email) VALUES ('two@x.at'), ('TWO@x.at')")
    content = (
        b'E-Mail,first_name,date of birth,gender\n"good@x.at","two\nlines",,\n,no key,,\nbad,,2013-02-29,other\n'
        b'GOOD@x.at,again,,\nshort@x.at,,\nlong@x.at,,,,\ntwo@x.at,,,\ncode@x.at,\xfc,,\n\nopen@x.at,"x,,\n'
    )
    result = run(runner, content, exit_code=1)
    assert result.stderr.splitlines() == [
        'line 4, column "E-Mail": the key is empty',
        "line 5, column \"E-Mail\": 'bad' is not an e-mail address",
        "line 5, column \"date of birth\": '2013-02-29' is not a day of the calendar",
        "line 5, column \"gender\": 'other' is neither a label nor an id of its choices",
        'line 6, column "E-Mail": the same key is in line 2 already',
        "line 7: 3 cells, 4 expected",
        "line 8: 5 cells, 4 expected",
        'line 9, column "E-Mail": 2 contacts have this key',
        "line 10: byte 0xFC at position 11 of line 10 is not utf-8; --encoding says how the file is written",
        'line 12: a quote (") is opened and never closed',
        "Error: 8 bad lines, nothing was imported (--reject FILE imports the others)",
    ]
    assert result.stdout == ""
    assert len(emails(context)) == 2


def test_import_shows_20_bad_lines_and_counts_all(runner: FlaskCliRunner):
    result = run(runner, "email\n" + "bad\n" * 500, exit_code=1)
    shown = result.stderr.splitlines()
    assert shown[19].startswith("line 21, ")
    assert shown[20] == "and 480 more bad lines"
    assert shown[21].startswith("Error: 500 bad lines")


def test_reject_file_holds_bad_lines_unchanged_and_the_others_are_imported(runner, context: Context, tmp_path):
    header, bad = b'\xef\xbb\xbf"E-Mail";3x\r\n'.replace(b"3x", b"Vorname"), b'"no\r\nmail"; x \r\n\xfc@x.at;y'
    reject = tmp_path / "bad.csv"
    reject.write_text("of an earlier import")
    result = run(runner, header + b"a@x.at;A\r\n" + bad, "--delimiter", ";", "--reject", str(reject))
    assert reject.read_bytes() == header + bad + b"\n"
    assert result.stdout.startswith("created 1, updated 0, unchanged 0, rejected 2, ")
    assert f"2 bad lines, written to {reject}" in result.stderr
    assert emails(context) == ["a@x.at"]
    assert not list(tmp_path.glob("*.part"))


def test_corrected_reject_file_can_be_imported(runner: FlaskCliRunner, context: Context, tmp_path: Path):
    reject = tmp_path / "bad.csv"
    run(runner, "email,city\na@x.at,A\nb#x.at,B\n", "--reject", str(reject))
    run(runner, reject.read_text().replace("#", "@"))
    assert emails(context) == ["a@x.at", "b@x.at"]


def test_import_without_bad_lines_writes_no_reject_file(runner: FlaskCliRunner, tmp_path: Path):
    run(runner, "email\na@x.at\n", "--reject", str(tmp_path / "bad.csv"))
    assert not (tmp_path / "bad.csv").exists()


@pytest.mark.parametrize("reject", ["/nowhere/bad.csv", "/tmp/" + "x" * 300])
def test_unwritable_reject_file_is_refused_before_the_import(runner, context, reject):
    result = run(runner, "email\na@x.at\nbad\n", "--reject", reject, exit_code=2)
    assert f"{reject} cannot be written" in result.stderr
    assert emails(context) == []


def test_reject_file_must_not_be_the_imported_file(runner: FlaskCliRunner, tmp_path: Path):
    file = tmp_path / "people.csv"
    file.write_text("email\nbad\n")
    result = runner.invoke(contacts, ["import", str(file), "--origin", "form:123", "--reject", str(file)])
    assert (result.exit_code, file.read_text()) == (2, "email\nbad\n")


def test_dry_run_counts_and_stores_nothing(runner: FlaskCliRunner, context: Context, tmp_path: Path):
    run(runner, "email,city\na@x.at,A\n")
    content = "email,city\na@x.at,B\nb@x.at,B\nbad,C\n"
    result = run(runner, content, "--dry-run", "--reject", str(tmp_path / "bad.csv"))
    assert result.stdout.startswith("dry run, nothing was changed: created 1, updated 1, unchanged 0, rejected 1, ")
    assert rows(context, "SELECT email, city FROM contact") == [("a@x.at", "A")]
    assert changes(context) == 1
    assert not (tmp_path / "bad.csv").exists()


@pytest.mark.parametrize(
    "content, options, message",
    [
        ("", [], "The file is empty"),
        ("email,frist name\n", [], 'Unknown field: "frist name"; did you mean "First Name" (1)'),
        ("email;city\n", [], "is a semicolon the delimiter?"),
        ("city\n", [], 'The header lacks the key "E-Mail"'),
        ("email,27\n", [], '"Avg. length of visit (minutes)" (field 27) is read-only'),
        ("email,interests\n", ["--key", "interests"], '"Interests" has several values at once'),
        ("email\n", ["--key", "emial"], 'Unknown field: "emial"; did you mean "E-Mail" (3)'),
        ("email\n", ["--encoding", "utf-32"], "cannot be read line by line"),
        ('"email\n', [], "line 1: a quote"),
    ],
)
def test_unusable_file_or_option_is_a_usage_error(runner, content, options, message):
    result = run(runner, content, *options, exit_code=2)
    assert message in result.stderr
    assert "Traceback" not in result.stderr


@pytest.mark.parametrize(
    "origin, message",
    [
        ("form:9", "Unknown origin: form:9; known are: api:0 (No source), api:456 (Web shop)"),
        ("123", "form:ID or api:ID expected"),
        ("all:1", "form:ID or api:ID expected"),
    ],
)
def test_unknown_origin_is_refused_with_a_list_of_the_known(runner, origin: str, message: str):
    assert message in run(runner, "email\na@x.at\n", origin=origin, exit_code=2).stderr


def test_missing_file_is_a_usage_error(runner: FlaskCliRunner):
    result = runner.invoke(contacts, ["import", "missing.csv", "--origin", "form:123"])
    assert (result.exit_code, "No such file" in result.stderr) == (2, True)


def test_importing_an_export_changes_nothing(runner, context: Context, tmp_path: Path):
    run(
        runner,
        "email,children,interests,country,first_name,date_of_birth\n"
        'a@x.at,1,"Health, Fitness, Music",Österreich,"A, ""B""\nC",1999-12-31\nb@x.at,,,,,\n',
    )
    file = tmp_path / "export.csv"
    options = "--origin form --origin-id 123 --from 2000-01-01 --to 2100-01-01 --fields 3,7,0,14,1,4 --language de"
    exported = runner.invoke(exports.group, ["changes", *options.split(), "--output", str(file)])
    assert exported.exit_code == 0, exported.output
    assert run(runner, file.read_bytes()).stdout.startswith("created 0, updated 0, unchanged 2, rejected 0, ")


def test_added_column_is_checked_by_its_type(runner: FlaskCliRunner, context: Context):
    execute(
        context, "ALTER TABLE contact ADD COLUMN score numeric(4, 2), ADD COLUMN code varchar(3) NOT NULL DEFAULT ''"
    )
    execute(
        context,
        "INSERT INTO contact_field (id, name, application_type, column_name) "
        "VALUES (200001, 'Score', 'numeric', 'score'), (200002, 'Code', 'shorttext', 'code')",
    )
    result = run(runner, "email,score,code\na@x.at,99.994,abc\nb@x.at,99.995,abcd\nc@x.at,x,\n", exit_code=1)
    assert result.stderr.splitlines()[:4] == [
        "line 3, column \"score\": '99.995' is out of the range of its column",
        "line 3, column \"code\": 'abcd' has 4 characters, at most 3 fit",
        "line 4, column \"score\": 'x' is not a number like 12.5",
        'line 4, column "code": it must not be empty',
    ]
    run(runner, "email,score,code\na@x.at,99.994,abc\n")
    assert rows(context, "SELECT score::text, code FROM contact") == [("99.99", "abc")]


def test_violated_constraint_is_reported_in_one_line(context: Context):
    execute(context, "ALTER TABLE contact ADD CONSTRAINT no_vienna CHECK (city <> 'Wien')")
    with pytest.raises(ContactExportError, match=r"nothing was imported: .*no_vienna"):
        import_here(context, b"email,city\na@x.at,Graz\nb@x.at,Wien\n")
    assert emails(context) == []


def test_file_that_is_not_csv_is_refused_and_nothing_is_imported(context: Context):
    with pytest.raises(UsageError, match="a record is longer than 16 MiB"):
        import_here(context, b"email\na@x.at\n" + b"\0" * (1 << 25))
    assert emails(context) == []


def test_import_into_a_view_is_refused(context: Context):
    execute(context, "ALTER TABLE contact RENAME TO customer; CREATE VIEW contact AS SELECT * FROM customer")
    with pytest.raises(UsageError, match="`contact` is not a table here but a view"):
        import_here(context, b"email\na@x.at\n")


def test_import_without_schema_is_refused(context: Context):
    execute(context, "DROP TABLE contact")
    with pytest.raises(UsageError, match="flask db upgrade"):
        import_here(context, b"email\na@x.at\n")


def test_two_imports_at_once_create_a_contact_once(context: Context):
    content, results = b"email\na@x.at\n", []
    second = threading.Thread(target=lambda: results.append(import_here(context, content)))

    def start_the_second_before_saving(doing: str, _done: int) -> None:
        if doing == "saving":
            second.start()
            wait_until_an_import_waits(context)

    first = service.import_contacts(
        context.contacts, io.BytesIO(content), ImportOrder("form", 123), start_the_second_before_saving
    )
    second.join(timeout=30)
    assert (first.created, results[0].created, results[0].unchanged) == (1, 0, 1)
    assert emails(context) == ["a@x.at"]


def wait_until_an_import_waits(context: Context) -> None:
    deadline = time.monotonic() + 10
    while not rows(context, "SELECT pid FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"):
        assert time.monotonic() < deadline, "no import waits for the other one"
        time.sleep(0.01)


class GeneratedFile(io.RawIOBase):
    """A file of 20,000 lines of 1 KB. It is generated while it is read."""

    def __init__(self) -> None:
        self._lines = (b"p%d@x.at,%s\n" % (n, b"x" * 1_000) for n in range(20_000))
        self._header = [b"email,city\n"]

    def readline(self, _size: int | None = -1) -> bytes:
        return self._header.pop() if self._header else next(self._lines, b"")


def test_memory_does_not_grow_with_the_file(context: Context):
    tracemalloc.start()
    try:
        result = service.import_contacts(context.contacts, GeneratedFile(), ImportOrder("form", 123), unwatched)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert result.created == 20_000
    assert peak < 4_000_000


def test_interrupt_while_reading_leaves_nothing_behind(context: Context):
    def interrupt(_doing: str, _done: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        service.import_contacts(context.contacts, io.BytesIO(b"email\na@x.at\n"), ImportOrder("form", 123), interrupt)
    assert emails(context) == []
    assert import_here(context, b"email\na@x.at\n").created == 1


@pytest.mark.parametrize("terminal, shown", [(True, True), (False, False)])
def test_progress_bar_is_shown_only_on_a_terminal(runner, tmp_path: Path, monkeypatch, terminal: bool, shown: bool):
    if terminal:
        monkeypatch.setenv("FORCE_COLOR", "1")  # rich then treats any stream as a terminal
    file = tmp_path / "people.csv"
    file.write_text("email\na@x.at\n")
    result = runner.invoke(contacts, ["import", str(file), "--origin", "form:123"])
    assert ("saving" in result.stderr) is shown
    assert result.stdout.startswith("created 1, ")


def test_lost_connection_raises_and_nothing_is_imported(context: Context):
    def break_off(doing: str, _done: int) -> None:
        if doing == "comparing":
            execute(
                context,
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                "WHERE datname = current_database() AND pid <> pg_backend_pid()",
            )

    with pytest.raises(DatabaseUnavailable):
        service.import_contacts(context.contacts, io.BytesIO(b"email\na@x.at\n"), ImportOrder("form", 123), break_off)
    assert emails(context) == []


def test_reject_file_that_cannot_be_written_in_the_end_undoes_the_import(context: Context, tmp_path: Path):
    folder = tmp_path / "rejects"
    folder.mkdir()

    def remove_the_folder(doing: str, _done: int) -> None:
        if doing == "saving":
            folder.rmdir()

    order = ImportOrder("form", 123, reject=folder / "bad.csv")
    with pytest.raises(UsageError, match=r"bad\.csv cannot be written: No such file or directory"):
        service.import_contacts(context.contacts, io.BytesIO(b"email\na@x.at\nbad\n"), order, remove_the_folder)
    assert emails(context) == []


def test_value_refused_by_a_domain_is_reported_in_one_line(context: Context):
    execute(context, "CREATE DOMAIN plate AS text CHECK (value ~ '^W'); ALTER TABLE contact ALTER city TYPE plate")
    with pytest.raises(ContactExportError, match="nothing was imported: value for domain plate violates check"):
        import_here(context, b"email,city\na@x.at,Graz\n")


def test_field_without_its_column_is_refused_by_name(context: Context):
    execute(context, "ALTER TABLE contact DROP COLUMN city")
    with pytest.raises(UsageError, match='"City" stands for the column city, which `contact` does not have'):
        import_here(context, b"email,city\na@x.at,Graz\n")


def test_import_into_a_replica_is_refused(context: Context):
    execute(
        context,
        "DO $$ BEGIN EXECUTE format("
        "'ALTER DATABASE %I SET default_transaction_read_only = on', current_database()); END $$",
    )
    context.contacts.close()
    with pytest.raises(UsageError, match="The contacts' database is read-only"):
        import_here(context, b"email\na@x.at\n")


PEOPLE = "email,surname,Shoe size,status\nada@x.at,Byron,38,new\n"


def without_catalogue(context: Context) -> None:
    execute(context, "DELETE FROM contact_field; DELETE FROM origin")


def test_an_empty_installation_needs_create_fields_only(runner: FlaskCliRunner, context: Context):
    without_catalogue(context)
    result = run(runner, PEOPLE, "--create-fields")
    assert result.stdout.startswith("created 1, ")
    assert rows(context, "SELECT id, name, application_type, column_name FROM contact_field ORDER BY id") == [
        (2, "Last Name", "shorttext", "last_name"),
        (3, "E-Mail", "longtext", "email"),
        (100_000, "Shoe size", "shorttext", "shoe_size"),
        (100_001, "Status", "shorttext", "status"),
    ]
    assert rows(context, "SELECT kind, id, name FROM origin") == [("form", 123, "form 123")]
    assert rows(context, "SELECT email, last_name, shoe_size, status FROM contact") == [
        ("ada@x.at", "Byron", "38", "new")
    ]


def test_created_system_fields_have_their_choices(runner: FlaskCliRunner, context: Context):
    without_catalogue(context)
    run(runner, "email,Geschlecht,Land\nada@x.at,Weiblich,Austria\n", "--create-fields")
    assert rows(context, "SELECT gender, country FROM contact") == [(2, 10)]


def test_a_dry_run_creates_no_fields(runner: FlaskCliRunner, context: Context):
    without_catalogue(context)
    run(runner, PEOPLE, "--create-fields", "--dry-run")
    assert rows(context, "SELECT count(*) FROM contact_field") == [(0,)]
    assert rows(context, "SELECT count(*) FROM pg_attribute WHERE attname = 'shoe_size'") == [(0,)]


def test_fields_that_exist_are_not_created_again(runner: FlaskCliRunner, context: Context):
    before = rows(context, "SELECT id FROM contact_field")
    run(runner, "E-Mail,forename\nada@x.at,Ada\n", "--create-fields")
    assert rows(context, "SELECT id FROM contact_field") == before
    assert rows(context, "SELECT first_name FROM contact") == [("Ada",)]


def test_a_number_that_is_no_field_is_not_created(runner: FlaskCliRunner):
    result = run(runner, "E-Mail,99\nada@x.at,1\n", "--create-fields", exit_code=2)
    assert 'Unknown field: "99"' in result.stderr

"""A value that cannot be read ends the export. The error names field and contact, so that somebody can correct it."""

import pytest

from contactexport.changes import unfit_contact
from contactexport.context import Context
from contactexport.exports import cancel, sweep
from contactexport.exports import run as run_export
from tests.support.exporting import TESTER, contact_changed, execute, exported_ids, request, row_of, run, settings_for
from tests.support.readers import WAYS, reading

# An expression of a view that reads text as another type, a value that it cannot read, and the name of the error.
CASTS = {
    "cast": ("zip_code::integer", "many", "invalid text representation (22P02)"),
    "division": ("100 / length(zip_code)", "", "division by zero (22012)"),
    "subquery": (
        "(SELECT n FROM generate_series(1, CASE zip_code WHEN 'many' THEN 2 ELSE 1 END) n)", "many",
        "cardinality violation (21000)",
    ),
    "function": ("checked(zip_code)", "many", "raise exception (P0001)"),
    "case": ("in_words(zip_code)", "many", "case not found (20000)"),
    "own code": ("own_error(zip_code)", "many", "22ZZZ"),
}  # fmt: skip
FUNCTIONS = """
CREATE FUNCTION checked(value text) RETURNS text LANGUAGE plpgsql STABLE AS
    $$ BEGIN IF value = 'many' THEN RAISE EXCEPTION 'not %', value; END IF; RETURN value; END $$;
CREATE FUNCTION in_words(value text) RETURNS text LANGUAGE plpgsql STABLE AS
    $$ BEGIN CASE value WHEN '1' THEN RETURN 'one'; END CASE; END $$;
CREATE FUNCTION own_error(value text) RETURNS text LANGUAGE plpgsql STABLE AS
    $$ BEGIN IF value = 'many' THEN RAISE EXCEPTION 'no' USING ERRCODE = '22ZZZ'; END IF; RETURN value; END $$;
"""
BAD_NUMBER = "invalid text representation (22P02)"


@pytest.fixture
def contacts(context: Context) -> list[int]:
    return [contact_changed(context, zip_code="1") for _ in range(50)]


def cast(context: Context, expression: str = "zip_code::integer", condition: str = "true") -> None:
    execute(context, FUNCTIONS)
    execute(
        context,
        "ALTER TABLE contact RENAME TO customer; CREATE VIEW contact AS SELECT id, origin_kind, origin_id, email,"
        f" first_name, {expression} AS zip_code FROM customer WHERE {condition}",
    )


def spoil(context: Context, contact: int, value: str = "many") -> None:
    execute(context, "UPDATE customer SET zip_code = %s WHERE id = %s", (value, contact))


def fails(context: Context, **changes):
    failed = run(context, request(context, settings_for(**{"contact_fields": (13,)} | changes)))
    assert (failed.status, failed.attempt) == ("error", 1)
    return failed.error


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("at", [0, 17, 49])
def test_error_names_field_and_contact(context: Context, contacts, monkeypatch, at, way, caplog):
    context, changes = reading(context, way, monkeypatch)
    cast(context)
    spoil(context, contacts[at])
    assert fails(context, contact_fields=(1, 13, 3), **changes) == (
        f'Field 13 ("ZIP Code", column "zip_code") of contact {contacts[at]} cannot be read: {BAD_NUMBER}'
    )
    assert '"many"' in caplog.text  # the value is for the log, and not for everybody who asks for the status
    assert list(context.settings.storage_dir.glob("[!.]*")) == []
    assert sweep.sweep(context) == 0
    spoil(context, contacts[at], "5")
    assert exported_ids(context, settings_for(contact_fields=(3, 13))) == contacts


@pytest.mark.parametrize(("expression", "value", "condition"), CASTS.values(), ids=CASTS)
def test_error_names_condition_that_value_causes(context: Context, contacts, expression, value, condition):
    cast(context, expression)
    spoil(context, contacts[20], value)
    assert fails(context).endswith(f"of contact {contacts[20]} cannot be read: {condition}")


def test_one_of_several_bad_values_is_named(context: Context, contacts):
    cast(context)
    for contact in contacts[10:20]:
        spoil(context, contact)
    assert f"of contact {contacts[10]} cannot be read" in fails(context)


def test_bad_value_of_other_field_is_ignored(context: Context, contacts):
    cast(context)
    spoil(context, contacts[3])
    assert exported_ids(context, settings_for()) == contacts


def test_condition_of_view_is_distinguished_from_field(context: Context, contacts):
    cast(context, "zip_code", "zip_code::integer > 0")
    spoil(context, contacts[30])
    assert fails(context) == f"Contact {contacts[30]} cannot be read, whichever fields are asked for: {BAD_NUMBER}"


def test_function_called_for_every_row_is_distinguished_from_field(context: Context, contacts):
    """Postgres never omits a column that calls a volatile function."""
    cast(context, "checked(zip_code)")
    execute(context, "ALTER FUNCTION checked VOLATILE")
    spoil(context, contacts[30])
    assert fails(context, contact_fields=(1,)) == (
        f"Contact {contacts[30]} cannot be read, whichever fields are asked for: raise exception (P0001)"
    )


def test_bad_value_met_while_counting_registrations_ends_export(context: Context, contacts):
    cast(context, "zip_code", "zip_code::integer > 0")
    spoil(context, contacts[30])
    execute(context, "UPDATE contact_change SET kind = 'c', changed_at = '2012-02-09'")
    assert fails(context, type="registrations") == f"A value of a contact cannot be read: {BAD_NUMBER}"


def test_search_ends_at_timeout(context: Context, contacts, monkeypatch):
    monkeypatch.setattr(unfit_contact, "SEARCH_SECONDS", 0)
    cast(context, "CASE zip_code WHEN '1' THEN (SELECT 1 FROM pg_sleep(0.01)) ELSE zip_code::integer END")
    spoil(context, contacts[49])
    assert fails(context) == (
        f"A value of a contact cannot be read: {BAD_NUMBER}; the contact was not found within 0 seconds"
    )


def test_value_corrected_meanwhile_is_reported_as_gone(context: Context, contacts, monkeypatch):
    after(monkeypatch, lambda: spoil(context, contacts[3], "5"))
    cast(context)
    spoil(context, contacts[3])
    assert fails(context).endswith("; a search found no such value any more")


def test_export_cancelled_during_search_stays_cancelled(context: Context, contacts, monkeypatch):
    cast(context)
    spoil(context, contacts[49])
    export_id = request(context, settings_for(contact_fields=(13,)))
    after(monkeypatch, lambda: cancel.cancel(context, export_id, TESTER))
    assert run_export.run(context, export_id) is None
    assert row_of(context, export_id)["error"] == "cancelled"


def test_worker_stopped_during_search_hands_export_back(context: Context, contacts, monkeypatch):
    cast(context)
    spoil(context, contacts[3])
    after(monkeypatch, context.stopping.set)
    back = run(context, request(context, settings_for(contact_fields=(13,))))
    assert (back.status, back.error, back.run_attempts) == ("in progress", "Its worker was stopped", 0)


def after(monkeypatch: pytest.MonkeyPatch, event) -> None:
    """Does something after a value is refused and before the search for it."""
    original = unfit_contact._repeated_id

    def first_search(*arguments):
        event()
        return original(*arguments)

    monkeypatch.setattr(unfit_contact, "_repeated_id", first_search)


def test_field_names_stay_on_one_line(context: Context, contacts):
    cast(context)
    spoil(context, contacts[3])
    execute(context, "UPDATE contact_field SET name = E'ZIP\\n Code' WHERE id = 13")
    assert fails(context).startswith('Field 13 ("ZIP Code", column')

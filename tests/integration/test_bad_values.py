"""A value that cannot be read ends the export with its field and contact, so that somebody can mend it."""

import pytest
from exporting import TESTER, contact_changed, execute, exported_ids, request, row_of, run, settings_for
from readers import WAYS, reading

from contactexport.backend import Backend
from contactexport.services import cancel_export, find_unfit_contact, run_export, sweep_exports

# A number in a text, as a view may read it; a value that cannot be read so; and what that is called.
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
def contacts(backend: Backend) -> list[int]:
    return [contact_changed(backend, zip_code="1") for _ in range(50)]


def cast(backend: Backend, expression: str = "zip_code::integer", condition: str = "true") -> None:
    execute(backend, FUNCTIONS)
    execute(
        backend,
        "ALTER TABLE contact RENAME TO customer; CREATE VIEW contact AS SELECT id, origin_kind, origin_id, email,"
        f" first_name, {expression} AS zip_code FROM customer WHERE {condition}",
    )


def spoil(backend: Backend, contact: int, value: str = "many") -> None:
    execute(backend, "UPDATE customer SET zip_code = %s WHERE id = %s", (value, contact))


def fails(backend: Backend, **changes):
    failed = run(backend, request(backend, settings_for(**{"contact_fields": (13,)} | changes)))
    assert (failed.status, failed.attempt) == ("error", 1)
    return failed.error


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("at", [0, 17, 49])
def test_the_field_and_the_contact_are_named(backend: Backend, contacts, monkeypatch, at, way, caplog):
    backend, changes = reading(backend, way, monkeypatch)
    cast(backend)
    spoil(backend, contacts[at])
    assert fails(backend, contact_fields=(1, 13, 3), **changes) == (
        f'Field 13 ("ZIP Code", column "zip_code") of contact {contacts[at]} cannot be read: {BAD_NUMBER}'
    )
    assert '"many"' in caplog.text  # the value is for the log, and not for everybody who asks for the status
    assert list(backend.settings.storage_dir.glob("[!.]*")) == []
    assert sweep_exports.sweep(backend) == 0
    spoil(backend, contacts[at], "5")
    assert exported_ids(backend, settings_for(contact_fields=(3, 13))) == contacts


@pytest.mark.parametrize(("expression", "value", "condition"), CASTS.values(), ids=CASTS)
def test_whatever_a_value_brings_about_is_told_by_its_name(backend: Backend, contacts, expression, value, condition):
    cast(backend, expression)
    spoil(backend, contacts[20], value)
    assert fails(backend).endswith(f"of contact {contacts[20]} cannot be read: {condition}")


def test_of_several_bad_values_one_is_named(backend: Backend, contacts):
    cast(backend)
    for contact in contacts[10:20]:
        spoil(backend, contact)
    assert f"of contact {contacts[10]} cannot be read" in fails(backend)


def test_a_bad_value_that_is_not_asked_for_does_not_matter(backend: Backend, contacts):
    cast(backend)
    spoil(backend, contacts[3])
    assert exported_ids(backend, settings_for()) == contacts


def test_a_condition_of_the_view_is_told_from_a_field(backend: Backend, contacts):
    cast(backend, "zip_code", "zip_code::integer > 0")
    spoil(backend, contacts[30])
    assert fails(backend) == f"Contact {contacts[30]} cannot be read, whichever fields are asked for: {BAD_NUMBER}"


def test_a_function_that_is_called_for_every_row_is_told_from_a_field(backend: Backend, contacts):
    """Postgres leaves out no column that calls a volatile function."""
    cast(backend, "checked(zip_code)")
    execute(backend, "ALTER FUNCTION checked VOLATILE")
    spoil(backend, contacts[30])
    assert fails(backend, contact_fields=(1,)) == (
        f"Contact {contacts[30]} cannot be read, whichever fields are asked for: raise exception (P0001)"
    )


def test_a_value_that_is_met_while_registrations_are_counted_ends_the_export_as_well(backend: Backend, contacts):
    cast(backend, "zip_code", "zip_code::integer > 0")
    spoil(backend, contacts[30])
    execute(backend, "UPDATE contact_change SET kind = 'c', changed_at = '2012-02-09'")
    assert fails(backend, type="registrations") == f"A value of a contact cannot be read: {BAD_NUMBER}"


def test_a_search_that_takes_too_long_is_given_up(backend: Backend, contacts, monkeypatch):
    monkeypatch.setattr(find_unfit_contact, "SEARCH_SECONDS", 0)
    cast(backend, "CASE zip_code WHEN '1' THEN (SELECT 1 FROM pg_sleep(0.01)) ELSE zip_code::integer END")
    spoil(backend, contacts[49])
    assert fails(backend) == (
        f"A value of a contact cannot be read: {BAD_NUMBER}; which one was not found within 0 seconds"
    )


def test_a_value_that_was_mended_meanwhile_is_told_as_gone(backend: Backend, contacts, monkeypatch):
    after(monkeypatch, lambda: spoil(backend, contacts[3], "5"))
    cast(backend)
    spoil(backend, contacts[3])
    assert fails(backend).endswith("; when it was looked for, it was gone")


def test_an_export_that_is_cancelled_during_the_search_stays_cancelled(backend: Backend, contacts, monkeypatch):
    cast(backend)
    spoil(backend, contacts[49])
    export_id = request(backend, settings_for(contact_fields=(13,)))
    after(monkeypatch, lambda: cancel_export.cancel(backend, export_id, TESTER))
    assert run_export.run(backend, export_id) is None
    assert row_of(backend, export_id)["error"] == "cancelled"


def test_a_worker_that_is_stopped_during_the_search_hands_the_export_back(backend: Backend, contacts, monkeypatch):
    cast(backend)
    spoil(backend, contacts[3])
    after(monkeypatch, backend.stopping.set)
    back = run(backend, request(backend, settings_for(contact_fields=(13,))))
    assert (back.status, back.error, back.run_attempts) == ("in progress", "Its worker was stopped", 0)


def after(monkeypatch: pytest.MonkeyPatch, event) -> None:
    """Lets something happen after a value was refused, and before it is looked for."""
    original = find_unfit_contact._explained

    def explained(*arguments):
        event()
        return original(*arguments)

    monkeypatch.setattr(find_unfit_contact, "_explained", explained)


def test_names_of_fields_stay_on_one_line(backend: Backend, contacts):
    cast(backend)
    spoil(backend, contacts[3])
    execute(backend, "UPDATE contact_field SET name = E'ZIP\\n Code' WHERE id = 13")
    assert fails(backend).startswith('Field 13 ("ZIP Code", column')

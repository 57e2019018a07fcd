"""A value that cannot be computed is an empty cell, and the status of the export says so."""

import pytest

from contactexport.adopt.apply import apply
from contactexport.context import Context
from contactexport.exports import deliver, status
from contactexport.exports.models import ALL_TIME
from tests.support.adopted_schemas import SCHEMAS
from tests.support.exporting import around_now, execute, request, run, settings_for

AGE, NAME = 106540, 1


@pytest.fixture
def newsletter(context: Context) -> Context:
    """Three subscribers of list 1. The ages of two are no numbers."""
    execute(context, "DELETE FROM contact_field; DELETE FROM origin")
    execute(context, SCHEMAS["newsletter"].ddl)
    execute(
        context,
        "INSERT INTO lists (id, name) VALUES (1, 'News');"
        "INSERT INTO subscribers (id, email, name, attribs, status) VALUES"
        " (1, 'a', 'Anna', '{\"age\": \"7\"}', 'enabled'), (2, 'b', 'Bert', '{\"age\": \"x\"}', 'enabled'),"
        " (3, 'c', 'Carl', '{\"age\": \"seven\"}', 'enabled');"
        "INSERT INTO subscriber_lists (subscriber_id, list_id) SELECT id, 1 FROM subscribers",
    )
    apply(context, SCHEMAS["newsletter"].plan, first_export=True)
    return context


@pytest.mark.parametrize("full", [False, True])
def test_status_counts_contacts_whose_value_cannot_be_converted(newsletter: Context, full: bool):
    window = {"start": ALL_TIME[0], "end": ALL_TIME[1], "type": "full"} if full else around_now()
    for fields, expected in (
        (
            (NAME, AGE),
            ["2 contacts have an empty cell in age: the value cannot be computed, such as that of contact 2"],
        ),
        ((NAME,), []),
    ):
        wanted = settings_for(**window, origin_ids=(1,), contact_fields=fields)
        export = run(newsletter, request(newsletter, wanted))
        lines = deliver.stored_file(newsletter, export).read_text().splitlines()
        assert [line.split(",")[1] for line in lines] == ["Anna", "Bert", "Carl"]
        if AGE in fields:
            assert [line.split(",")[2] for line in lines] == ["7", "", ""]
        assert status.payload(newsletter, export).get("warnings", []) == expected

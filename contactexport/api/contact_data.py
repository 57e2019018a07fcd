"""GET /contact/query and POST /contact/getdata: contacts as they are now, for clients that read page by page.

Values are as stored: a choice is its id, not its label. For many contacts an export is faster.
"""

from typing import Any

from flask import Blueprint, Response, request

from contactexport.api import request_json, responses
from contactexport.api.authentication import current_context
from contactexport.api.query_values import contact_field, page_number
from contactexport.api.request_fields import shown
from contactexport.catalogue import Catalogue, ContactField
from contactexport.contacts import data
from contactexport.contacts import table as contact_table
from contactexport.errors import InvalidRequest

MAX_CONTACTS = 10_000
MAX_IDS = 1000
OPTIONS = {"return", "limit", "offset", "excludeempty"}

blueprint = Blueprint("contact_data", __name__, url_prefix="/contact")


@blueprint.get("/query")
def query() -> Response:
    """Answers a page of contacts, each with its id and the field `return`.

    They are all contacts, or those with a value in a field, as in `1=Anna`.
    """
    catalogue = current_context().catalogue.current()
    if not request.args.get("return"):
        raise InvalidRequest("Missing parameter: return")
    wanted = _exportable(catalogue, request.args["return"])
    criteria = [(_exportable(catalogue, name), value) for name, value in request.args.items() if name not in OPTIONS]
    for field, value in criteria:
        if "\0" in value:
            raise InvalidRequest(f"Invalid value for {field.id}: {value}")
    if len(criteria) > 1:
        raise InvalidRequest("Only one field may be asked for")
    limit = min(page_number(request.args, "limit", MAX_CONTACTS), MAX_CONTACTS)
    offset = page_number(request.args, "offset", 0)
    with current_context().contacts.transaction() as conn:
        criterion = criteria[0] if criteria else None
        found = data.query(conn, wanted, criterion, limit=limit, offset=offset)
    result = [{"id": contact_id, str(wanted.id): value} for contact_id, value in found]
    return responses.reply({"errors": [], "result": result})


@blueprint.post("/getdata")
def getdata() -> Response:
    """Answers fields of contacts by their ids. `errors` names ids that do not exist, as in the original."""
    catalogue = current_context().catalogue.current()
    body = request_json.load_object(request)
    for name in ("keyId", "keyValues"):
        if body.get(name) is None:
            raise InvalidRequest(f"Missing parameter: {name}")
    if body["keyId"] != "id":
        raise InvalidRequest(f"Invalid value for keyId: {shown(body['keyId'])}")
    sent, asked = _array(body, "keyValues"), _array(body, "fields")
    if len(sent) > MAX_IDS:
        raise InvalidRequest(f"Invalid data format for keyValues. At most {MAX_IDS} expected")
    fields = [contact_field(catalogue, shown(one)) for one in asked] or list(catalogue.fields.values())
    exportable = list({field.id: field for field in fields if field.exportable}.values())
    with current_context().contacts.transaction() as conn:
        id_type = contact_table.describe(conn).id_type
        ids = {one: contact_id for one in map(shown, sent) if (contact_id := id_type.sent(one)) is not None}
        found = data.by_ids(conn, id_type, list(ids.values()), exportable)
    hidden = {str(field.id): None for field in fields if not field.exportable}
    result = [{"id": contact["id"], "uid": contact["id"]} | contact | hidden for contact in found]
    found_ids = {contact["id"] for contact in found}
    missing = [one for one in map(shown, sent) if str(ids.get(one)) not in found_ids]
    error = {"errorCode": 2008, "errorMsg": "No contact found with the external id: id"}
    return responses.reply({"errors": [{"key": one} | error for one in missing], "result": result})


def _array(body: dict[str, Any], name: str) -> list[Any]:
    value = body.get(name) or []
    if not isinstance(value, list):
        raise InvalidRequest(f"Invalid data format for {name}. Array expected")
    return value


def _exportable(catalogue: Catalogue, sent: str) -> ContactField:
    field = contact_field(catalogue, sent)
    if not field.exportable:
        raise InvalidRequest(f"Invalid contact field id: {sent}")
    return field

"""GET /contact/query and POST /contact/getdata: contacts as they are now, for clients that read them page by page.

Values are as stored: of a choice its id, not its label. An export is the faster way to many contacts.
"""

from typing import Any

from flask import Blueprint, Response, request

from contactexport.api import replies, request_json
from contactexport.api.backend import current_backend
from contactexport.api.query_values import contact_field, page_number
from contactexport.api.request_fields import integer, shown
from contactexport.db import contact_data_repository
from contactexport.errors import InvalidRequest
from contactexport.models import Catalogue, ContactField
from contactexport.services import read_catalogue

MOST_CONTACTS = 10_000
MOST_IDS = 1000
LARGEST_ID = 2**63 - 1
OPTIONS = {"return", "limit", "offset", "excludeempty"}

blueprint = Blueprint("contact_data", __name__, url_prefix="/contact")


@blueprint.get("/query")
def query() -> Response:
    """A page of contacts, each with its id and the field `return`: all, or those with a value in a field (`1=Anna`)."""
    catalogue = read_catalogue.current(current_backend())
    if not request.args.get("return"):
        raise InvalidRequest("Missing parameter: return")
    wanted = _exportable(catalogue, request.args["return"])
    criteria = [(_exportable(catalogue, name), value) for name, value in request.args.items() if name not in OPTIONS]
    for field, value in criteria:
        if "\0" in value:
            raise InvalidRequest(f"Invalid value for {field.id}: {value}")
    if len(criteria) > 1:
        raise InvalidRequest("Only one field may be asked for")
    limit = min(page_number(request.args, "limit", MOST_CONTACTS), MOST_CONTACTS)
    offset = page_number(request.args, "offset", 0)
    with current_backend().contacts.transaction() as conn:
        criterion = criteria[0] if criteria else None
        found = contact_data_repository.query(conn, wanted, criterion, limit=limit, offset=offset)
    result = [{"id": contact_id, str(wanted.id): value} for contact_id, value in found]
    return replies.ok({"errors": [], "result": result})


@blueprint.post("/getdata")
def getdata() -> Response:
    """Fields of contacts by their ids. One that does not exist is named in `errors`, as the original does."""
    catalogue = read_catalogue.current(current_backend())
    body = request_json.load_object(request)
    for name in ("keyId", "keyValues"):
        if body.get(name) is None:
            raise InvalidRequest(f"Missing parameter: {name}")
    if body["keyId"] != "id":
        raise InvalidRequest(f"Invalid value for keyId: {shown(body['keyId'])}")
    sent, asked = _array(body, "keyValues"), _array(body, "fields")
    if len(sent) > MOST_IDS:
        raise InvalidRequest(f"Invalid data format for keyValues. At most {MOST_IDS} expected")
    ids = {
        one: number for one in map(shown, sent) if (number := integer(one)) is not None and abs(number) <= LARGEST_ID
    }
    fields = [contact_field(catalogue, shown(one)) for one in asked] or list(catalogue.fields.values())
    exportable = list({field.id: field for field in fields if field.exportable}.values())
    with current_backend().contacts.transaction() as conn:
        found = contact_data_repository.by_ids(conn, list(ids.values()), exportable)
    hidden = {str(field.id): None for field in fields if not field.exportable}
    result = [{"id": contact["id"], "uid": contact["id"]} | contact | hidden for contact in found]
    return replies.ok({"errors": _missing(sent, ids, {contact["id"] for contact in found}), "result": result})


def _missing(sent: list[Any], ids: dict[str, int], found: set[str]) -> list[dict[str, Any]]:
    return [
        {"key": shown(one), "errorCode": 2008, "errorMsg": "No contact found with the external id: id"}
        for one in sent
        if str(ids.get(shown(one))) not in found
    ]


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

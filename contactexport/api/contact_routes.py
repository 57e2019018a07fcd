"""POST /api/v2/contact/getchanges: asks for an export of the contacts that changed."""

from flask import Blueprint, Response, g, request

from contactexport.api import replies, request_json
from contactexport.api.backend import current_backend
from contactexport.api.schemas import GetChangesSchema, load_get_changes
from contactexport.db import catalogue_repository
from contactexport.services import request_export

blueprint = Blueprint("contact", __name__, url_prefix="/api/v2/contact")


@blueprint.post("/getchanges")
def getchanges() -> Response:
    """Accepts the export and answers with its id (specification)."""
    body = request_json.load_object(request)
    backend = current_backend()
    with backend.contacts.transaction() as conn:
        catalogue = catalogue_repository.read(conn)
    schema = GetChangesSchema(catalogue, backend.settings.time_zone, backend.settings.language, backend.guard)
    asked = load_get_changes(schema, body)
    export_id = request_export.request(backend, asked.settings, asked.ftp_password, g.user_name, g.started)
    return replies.ok({"id": export_id})

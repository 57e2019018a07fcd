"""POST /api/v2/contact/getchanges: asks for an export of the contacts that changed."""

from typing import cast

from flask import Blueprint, Response, current_app, g, request

from contactexport.api import replies, request_json
from contactexport.api.authentication import answered_for_caller
from contactexport.api.backend import current_backend
from contactexport.api.schemas import GetChangesSchema, load_get_changes
from contactexport.backend import Backend
from contactexport.models import Assumed, Caller, Catalogue
from contactexport.services import read_catalogue, request_export

SCHEMA = "contactexport getchanges schema"

blueprint = Blueprint("contact", __name__, url_prefix="/api/v2/contact")


@blueprint.post("/getchanges")
def getchanges() -> Response:
    """Accepts the export and answers with its id (specification)."""
    return answered_for_caller(_accept)


def _accept(caller: Caller) -> Response:
    body = request_json.load_object(request)
    backend = current_backend()
    catalogue = read_catalogue.current(backend)
    asked = load_get_changes(_schema(backend, catalogue), body)
    assumed = Assumed(caller.token_hash, read_catalogue.version_to_check(backend, catalogue))
    export_id = request_export.request(backend, asked.settings, asked.ftp_password, caller.name, g.started, assumed)
    return replies.ok({"id": export_id})


def _schema(backend: Backend, catalogue: Catalogue) -> GetChangesSchema:
    """Made once for a catalogue: that takes longer than a request's check."""
    kept = cast(GetChangesSchema | None, current_app.extensions.get(SCHEMA))
    if kept is None or kept.catalogue is not catalogue:
        kept = GetChangesSchema(catalogue, backend.settings.time_zone, backend.settings.language, backend.guard)
        current_app.extensions[SCHEMA] = kept
    return kept

"""POST /contact/getchanges and getregistrations: ask for an export of contacts that changed or were created."""

import logging
from collections.abc import Mapping
from typing import Any

from flask import Blueprint, Response, current_app, g, request

from contactexport.api import replies, request_json
from contactexport.api.authentication import current_caller
from contactexport.api.backend import current_backend
from contactexport.api.schemas import GetChanges, GetChangesSchema, load_get_changes
from contactexport.client_rules import COMPATIBLE, ClientRules, remedy
from contactexport.errors import InvalidRequest
from contactexport.models import Catalogue
from contactexport.services import read_catalogue, request_export

SCHEMAS = "contactexport request schemas"

blueprint = Blueprint("contact", __name__, url_prefix="/contact")
logger = logging.getLogger(__name__)


@blueprint.post("/getchanges")
def getchanges() -> Response:
    """Accepts the export and answers with its id (specification)."""
    return _accept("changes")


@blueprint.post("/getregistrations")
def getregistrations() -> Response:
    """The same for contacts that were created in the time range (contract, What clients ask besides)."""
    return _accept("registrations")


def _accept(export_type: str) -> Response:
    caller = current_caller()
    body = request_json.load_object(request)
    try:
        asked = _valid(export_type, body, caller.rules)
    except InvalidRequest as refusal:
        if caller.rules != COMPATIBLE and _is_valid_for_compatible_clients(export_type, body):
            logger.info("export refused: user=%r reason=%r; %s", caller.name, refusal.text, remedy(caller.name))
        raise
    export_id = request_export.request(current_backend(), asked.settings, asked.ftp_password, caller, g.started)
    g.export_id = export_id  # for the audit log
    return replies.ok({"id": export_id})


def _valid(export_type: str, body: Mapping[str, Any], rules: ClientRules) -> GetChanges:
    return load_get_changes(_schema(read_catalogue.current(current_backend()), export_type, rules), body)


def _schema(catalogue: Catalogue, export_type: str, rules: ClientRules) -> GetChangesSchema:
    """Cached for a catalogue: making it takes longer than checking a request."""
    cached: dict[tuple[str, ClientRules], GetChangesSchema] = current_app.extensions.setdefault(SCHEMAS, {})
    schema = cached.get((export_type, rules))
    if schema is None or schema.catalogue is not catalogue:
        backend = current_backend()
        schema = GetChangesSchema(
            catalogue,
            backend.settings.time_zone,
            backend.settings.language,
            backend.guard,
            export_type,
            rules,
            ftp_tls_required=backend.settings.ftp_tls_required,
        )
        cached[export_type, rules] = schema
    return schema


def _is_valid_for_compatible_clients(export_type: str, body: Mapping[str, Any]) -> bool:
    try:
        _valid(export_type, body, COMPATIBLE)
    except InvalidRequest:
        return False
    return True

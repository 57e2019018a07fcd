"""Exports: request one (/contact/getchanges, /contact/getregistrations), see the status (/export), cancel one."""

import logging
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from flask import Blueprint, Response, current_app, g, request

from contactexport.api import request_json, responses
from contactexport.api.authentication import current_context
from contactexport.api.request_fields import integer
from contactexport.api.schemas import GetChanges, GetChangesSchema, load_get_changes
from contactexport.errors import InvalidRequest, UnknownExport
from contactexport.exports import accept
from contactexport.exports import cancel as cancel_export
from contactexport.exports import status as export_status
from contactexport.exports.models import ExportStatus
from contactexport.users.client_rules import COMPATIBLE, ClientRules, remedy
from contactexport.users.models import Caller

MAX_LISTED = 1000
LISTED = 100
ID_NAMES = {"id", "export_id", "exportId"}
SCHEMAS = "contactexport request schemas"

blueprint = Blueprint("export", __name__)
logger = logging.getLogger(__name__)


@blueprint.post("/contact/getchanges", defaults={"export_type": "changes"})
@blueprint.post("/contact/getregistrations", defaults={"export_type": "registrations"})
def request_export(export_type: str) -> Response:
    """Accepts an export of contacts that changed or were created in the time range. Answers its id (specification)."""
    caller: Caller = g.caller
    body = request_json.load_object(request)
    try:
        asked = _valid(export_type, body, caller.rules)
    except InvalidRequest as refusal:
        if caller.rules != COMPATIBLE:
            with suppress(InvalidRequest):
                _valid(export_type, body, COMPATIBLE)
                logger.info("export refused: user=%r reason=%r; %s", caller.name, refusal.text, remedy(caller.name))
        raise
    export_id = accept.request(current_context(), asked.settings, asked.ftp_password, caller, g.started)
    g.export_id = export_id  # for the audit log
    return responses.reply({"id": export_id})


def _valid(export_type: str, body: Mapping[str, Any], rules: ClientRules) -> GetChanges:
    """The valid request. Raises InvalidRequest.

    The schema is cached per catalogue, because building it takes longer than checking a request.
    """
    context = current_context()
    catalogue = context.catalogue.current()
    cached: dict[tuple[str, ClientRules], GetChangesSchema] = current_app.extensions.setdefault(SCHEMAS, {})
    schema = cached.get((export_type, rules))
    if schema is None or schema.catalogue is not catalogue:
        schema = GetChangesSchema(
            catalogue,
            context.settings.time_zone,
            context.settings.language,
            context.guard,
            export_type,
            rules,
            ftp_tls_required=context.settings.ftp_tls_required,
            sftp_unknown_hosts=context.settings.sftp_unknown_hosts,
        )
        cached[export_type, rules] = schema
    return load_get_changes(schema, body)


@blueprint.get("/export")
def newest() -> Response:
    """Answers statuses, newest first. `status` filters, `limit` and `before` (an id) page.

    A client that sends an id here forgot it in the path: `Invalid export ID` (contract, Status and download).
    """
    sent_names = set(request.args)
    with suppress(ValueError, RecursionError):
        body = request_json.parse(request.get_data())
        sent_names |= set(body) if isinstance(body, dict) else set()
    if ID_NAMES & sent_names:
        raise UnknownExport
    status = request.args.get("status")
    if status is not None and status not in list(ExportStatus):
        raise InvalidRequest(f"Invalid value for status: {status}")
    limit, before = _number("limit", MAX_LISTED) or LISTED, _number("before", 2**63 - 1)
    return responses.reply(export_status.newest(current_context(), g.caller, status=status, before=before, limit=limit))


@blueprint.get("/export/<export_id>")
def status(export_id: str) -> Response:
    """Answers the status. `Invalid export ID` for anything that is not the id of an export (contract, Status)."""
    return responses.reply(export_status.status(current_context(), export_id_of(export_id), g.caller))


@blueprint.delete("/export/<export_id>")
def cancel(export_id: str) -> Response:
    """Ends an unfinished export, or deletes the file of a finished one. Answers the new status."""
    context, caller = current_context(), g.caller
    cancel_export.cancel(context, export_id_of(export_id), caller)
    return responses.reply(export_status.status(context, export_id_of(export_id), caller))


def export_id_of(text: str) -> int:
    """Returns the id in a path. Raises UnknownExport if it cannot be an id."""
    if not text.isascii() or not text.isdigit() or len(text) > 19:
        raise UnknownExport
    export_id = int(text)
    g.export_id = export_id  # for the audit log
    return export_id


def _number(name: str, most: int) -> int | None:
    sent = request.args.get(name)
    if sent is None:
        return None
    number = integer(sent)
    if number is None or not 1 <= number <= most:
        raise InvalidRequest(f"Invalid value for {name}: {sent}")
    return number

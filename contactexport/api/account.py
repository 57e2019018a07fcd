"""GET /settings: most clients call it first, to test their credentials (contract, What clients ask besides)."""

import zlib

from flask import Blueprint, Response, g, request

from contactexport.api import responses
from contactexport.api.authentication import current_context
from contactexport.contacts import table

blueprint = Blueprint("settings", __name__)


@blueprint.get("/settings")
def settings() -> Response:
    """Answers what the original tells of an account. Here that is a team, and `id` is a checksum of its name.

    Countries and old passwords do not exist here, so `country` is empty and the password history has size 0.
    """
    context, team = current_context(), g.caller.team
    with context.contacts.transaction() as conn:
        contacts = table.count_roughly(conn)
    return responses.reply(
        {
            "id": zlib.crc32(team.encode()),
            "environment": request.host,
            "timezone": str(context.settings.time_zone),
            "name": team,
            "country": "",
            "totalContacts": str(contacts),
            "password_history_queue_size": 0,
        }
    )

"""GET /settings: what most clients ask first, to see whether they are let in (contract, What clients ask besides)."""

import zlib

from flask import Blueprint, Response, request

from contactexport.api import replies
from contactexport.api.authentication import current_caller
from contactexport.api.backend import current_backend
from contactexport.db import contact_table

blueprint = Blueprint("settings", __name__)


@blueprint.get("/settings")
def settings() -> Response:
    """What the original tells of an account, which is a team here: its `id` is a number made from the team's name.

    `country` is empty and no former password is remembered: there are neither here.
    """
    backend, team = current_backend(), current_caller().team
    with backend.contacts.transaction() as conn:
        contacts = contact_table.count_roughly(conn)
    return replies.ok(
        {
            "id": zlib.crc32(team.encode()),
            "environment": request.host,
            "timezone": str(backend.settings.time_zone),
            "name": team,
            "country": "",
            "totalContacts": str(contacts),
            "password_history_queue_size": 0,
        }
    )

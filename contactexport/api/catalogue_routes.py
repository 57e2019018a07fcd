"""GET /api/v2/field, /form and /source: the ids that a request may name (Emarsys API, "Querying Field List")."""

from typing import Any

from flask import Blueprint, Response

from contactexport.api import replies
from contactexport.api.backend import current_backend
from contactexport.api.request_fields import integer
from contactexport.db import catalogue_repository
from contactexport.errors import InvalidRequest
from contactexport.languages import LANGUAGES
from contactexport.models import Catalogue
from contactexport.services import read_catalogue

blueprint = Blueprint("catalogue", __name__, url_prefix="/api/v2")


@blueprint.get("/field")
@blueprint.get("/field/translate/<language>")
def fields(language: str = "") -> Response:
    """All contact fields, their names in a language (default: the service's)."""
    chosen = _language(language)
    return replies.ok(
        [
            {"id": field.id, "name": field.name_in(chosen), "application_type": field.application_type}
            for field in _catalogue().fields.values()
        ]
    )


@blueprint.get("/field/<field_id>/choice")
@blueprint.get("/field/<field_id>/choice/translate/<language>")
def choices(field_id: str, language: str = "") -> Response:
    """The choices of a field, their labels in a language."""
    known_id = integer(field_id)
    if known_id is None or known_id not in _catalogue().fields:
        raise InvalidRequest(f"Invalid contact field id: {field_id}")
    with current_backend().contacts.transaction() as conn:
        labels = catalogue_repository.list_choices(conn, known_id, _language(language))
    return replies.ok([{"id": str(choice_id), "choice": label} for choice_id, label in labels])


@blueprint.get("/form")
def forms() -> Response:
    """All forms."""
    return replies.ok(_origins("form"))


@blueprint.get("/source")
def sources() -> Response:
    """All API sources."""
    return replies.ok(_origins("api"))


def _origins(kind: str) -> list[dict[str, Any]]:
    return [{"id": str(one.id), "name": one.name} for one in _catalogue().origins if one.kind == kind]


def _catalogue() -> Catalogue:
    return read_catalogue.current(current_backend())


def _language(sent: str) -> str:
    if sent and sent.lower() not in LANGUAGES:
        raise InvalidRequest(f"Invalid value for language: {sent}")
    return sent.lower() or current_backend().settings.language

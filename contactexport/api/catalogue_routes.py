"""GET /field, /form, /source and /language: the ids that a request may name (Emarsys API, "Querying Field List")."""

from typing import Any

from flask import Blueprint, Response, request

from contactexport.api import replies
from contactexport.api.backend import current_backend
from contactexport.api.query_values import contact_field
from contactexport.db import catalogue_repository
from contactexport.errors import InvalidRequest
from contactexport.languages import LANGUAGES, language_names
from contactexport.models import Catalogue
from contactexport.services import read_catalogue
from contactexport.system_fields import STRING_IDS

blueprint = Blueprint("catalogue", __name__)


@blueprint.get("/field")
@blueprint.get("/field/translate/<language>")
def fields(language: str = "") -> Response:
    """All contact fields, their names in a language (default: the service's)."""
    chosen = _language(language)
    return replies.ok(
        [
            {
                "id": field.id,
                "name": field.name_in(chosen),
                "application_type": field.application_type,
                "string_id": STRING_IDS.get(field.id, ""),
            }
            for field in _catalogue().fields.values()
        ]
    )


@blueprint.get("/field/<field_id>/choice")
@blueprint.get("/field/<field_id>/choice/translate/<language>")
def choices(field_id: str, language: str = "") -> Response:
    """The choices of a field, their labels in a language."""
    return replies.ok(_choices([field_id], language)[0])


@blueprint.get("/field/choices")
def choices_of_fields() -> Response:
    """The choices of several fields by the ids of these: `fields=5,9`, and a `language` if wanted."""
    asked = request.args.get("fields", "")
    if not asked:
        raise InvalidRequest("Missing parameter: fields")
    ids = list(dict.fromkeys(one.strip() for one in asked.removesuffix("/").split(",")))
    found = _choices(ids, request.args.get("language", "").removesuffix("/"))
    return replies.ok(dict(zip(ids, found, strict=True)))


@blueprint.get("/form")
def forms() -> Response:
    """All forms. What kind of form one is, is not known: each is the original's type 1, general registration form."""
    return replies.ok([form | {"type": "1"} for form in _origins("form")])


@blueprint.get("/source")
def sources() -> Response:
    """All API sources."""
    return replies.ok(_origins("api"))


@blueprint.get("/language")
@blueprint.get("/language/translate/<language>")
def languages(language: str = "") -> Response:
    """All languages an export may ask for, named in a language."""
    named = language_names(_language(language))
    return replies.ok([{"id": code, "language": name} for code, name in named.items()])


def _choices(field_ids: list[str], language: str) -> list[list[dict[str, str]]]:
    """For each field its choices."""
    catalogue = _catalogue()
    known_ids = [contact_field(catalogue, field_id).id for field_id in field_ids]
    chosen = _language(language)
    with current_backend().contacts.transaction() as conn:
        return [
            [
                {"id": str(choice_id), "choice": label}
                for choice_id, label in catalogue_repository.list_choices(conn, field_id, chosen)
            ]
            for field_id in known_ids
        ]


def _origins(kind: str) -> list[dict[str, Any]]:
    return [{"id": str(one.id), "name": one.name} for one in _catalogue().origins if one.kind == kind]


def _catalogue() -> Catalogue:
    return read_catalogue.current(current_backend())


def _language(sent: str) -> str:
    if sent and sent.lower() not in LANGUAGES:
        raise InvalidRequest(f"Invalid value for language: {sent}")
    return sent.lower() or current_backend().settings.language

"""GET /field, /form, /source and /language: the ids that a request may name (Emarsys API, "Querying Field List")."""

from typing import Any

from flask import Blueprint, Response, request

from contactexport.api import responses
from contactexport.api.authentication import current_context
from contactexport.api.query_values import contact_field
from contactexport.catalogue import STRING_IDS, Catalogue, list_choices
from contactexport.errors import InvalidRequest
from contactexport.languages import LANGUAGES, language_names

blueprint = Blueprint("catalogue", __name__)


@blueprint.get("/field")
@blueprint.get("/field/translate/<language>")
def fields(language: str = "") -> Response:
    """Answers all contact fields, named in a language. The default is the language of the service."""
    chosen = _language(language)
    return responses.reply(
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
    """Answers the choices of a field, labelled in a language."""
    return responses.reply(_choices([field_id], language)[0])


@blueprint.get("/field/choices")
def choices_of_fields() -> Response:
    """Answers the choices of several fields by field id: `fields=5,9`, and optionally `language`."""
    asked = request.args.get("fields", "")
    if not asked:
        raise InvalidRequest("Missing parameter: fields")
    ids = list(dict.fromkeys(one.strip() for one in asked.removesuffix("/").split(",")))
    found = _choices(ids, request.args.get("language", "").removesuffix("/"))
    return responses.reply(dict(zip(ids, found, strict=True)))


@blueprint.get("/form")
def forms() -> Response:
    """Answers all forms. Their type is unknown here, so each has type 1 of the original: general registration form."""
    return responses.reply([form | {"type": "1"} for form in _origins("form")])


@blueprint.get("/source")
def sources() -> Response:
    """Answers all API sources."""
    return responses.reply(_origins("api"))


@blueprint.get("/language")
@blueprint.get("/language/translate/<language>")
def languages(language: str = "") -> Response:
    """Answers all languages of exports, named in a language."""
    named = language_names(_language(language))
    return responses.reply([{"id": code, "language": name} for code, name in named.items()])


def _choices(field_ids: list[str], language: str) -> list[list[dict[str, str]]]:
    """Returns the choices of each field, in the order of the fields."""
    catalogue = _catalogue()
    known_ids = [contact_field(catalogue, field_id).id for field_id in field_ids]
    chosen = _language(language)
    with current_context().contacts.transaction() as conn:
        return [
            [{"id": str(choice_id), "choice": label} for choice_id, label in list_choices(conn, field_id, chosen)]
            for field_id in known_ids
        ]


def _origins(kind: str) -> list[dict[str, Any]]:
    return [{"id": str(one.id), "name": one.name} for one in _catalogue().origins if one.kind == kind]


def _catalogue() -> Catalogue:
    return current_context().catalogue.current()


def _language(sent: str) -> str:
    if sent and sent.lower() not in LANGUAGES:
        raise InvalidRequest(f"Invalid value for language: {sent}")
    return sent.lower() or current_context().settings.language

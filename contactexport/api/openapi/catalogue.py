"""The operations on catalogue and account, and those open to everybody, for the OpenAPI document."""

from typing import Any

from contactexport.api import catalogue_schemas, response_schemas
from contactexport.api.openapi.parts import JSON, errors, json_reply, operation, parameter

FIELD_ID = parameter("path", "field_id", "a contact field", "5", pattern="^[0-9]{1,18}$")
LANGUAGE = parameter("path", "language", "a language code, in either case", "de")
FIELDS = parameter(
    "query", "fields", "ids of contact fields, separated by commas", "5,9", pattern="^[0-9]{1,18}(,[0-9]{1,18})*$"
)
IN_LANGUAGE = parameter("query", "language", "a language code, in either case", "de")


def catalogue_paths() -> dict[str, dict[str, Any]]:
    """Returns operations by path and method: the ids that requests name, and the account."""
    fields, choices = catalogue_schemas.ContactFieldsReply, catalogue_schemas.ChoicesReply
    languages = catalogue_schemas.LanguagesReply
    account = "The account is the team of the caller. Clients call this to test their credentials."
    tag = "Catalogue"
    named = "Named in the language, or in English if it has no name."
    ids = "The ids that `origin_id` may name when `origin` is `{}`."
    gets = {
        "field": operation("fields", tag, "Contact fields", "Named in the language of the service.", fields),
        "field/translate/{language}": operation(
            "fields_in_language", tag, "Contact fields in a language", named, fields, LANGUAGE
        ),
        "field/{field_id}/choice": operation(
            "choices", tag, "Choices of a field", "Empty for a field without choices.", choices, FIELD_ID
        ),
        "field/{field_id}/choice/translate/{language}": operation(
            "choices_in_language", tag, "Choices of a field in a language", named, choices, FIELD_ID, LANGUAGE
        ),
        "field/choices": operation(
            "choices_of_fields",
            tag,
            "Choices of several fields",
            "By the id of the field.",
            catalogue_schemas.ChoicesOfFieldsReply,
            FIELDS | {"required": True},
            IN_LANGUAGE,
        ),
        "form": operation("forms", tag, "Forms", ids.format("form"), catalogue_schemas.FormsReply),
        "source": operation("sources", tag, "API sources", ids.format("api"), catalogue_schemas.OriginsReply),
        "language": operation("languages", tag, "Languages", "Named in the language of the service.", languages),
        "language/translate/{language}": operation(
            "languages_in_language", tag, "Languages in a language", named, languages, LANGUAGE
        ),
        "settings": operation("settings", "Service", "The account", account, catalogue_schemas.SettingsReply),
    }
    return {f"/api/v2/{path}": {"get": described} for path, described in gets.items()}


def open_paths() -> dict[str, dict[str, Any]]:
    """Returns operations by path and method: those that need no credentials."""
    shown = {"openapi": "3.1.0", "info": {"title": "contactexport"}, "paths": {}, "components": {}}
    document = {"description": "OpenAPI 3.1", "content": {JSON: {"schema": {"type": "object"}, "example": shown}}}
    ready = json_reply(response_schemas.ReadinessReply)
    not_ready = ready | {"description": "A part that exports need does not answer, or its disk is full"}
    return {
        "/healthz": {
            "get": _open("healthz", "Is the process alive?", {"200": json_reply(response_schemas.AliveReply)})
        },
        "/readyz": {
            "get": _open("readyz", "Can the service do its work now?", {"200": ready, "503": not_ready}),
        },
        "/api/v2/openapi.json": {"get": _open("openapi", "This document", {"200": document})},
    }


def _open(operation_id: str, summary: str, responses: dict[str, Any]) -> dict[str, Any]:
    return {
        "operationId": operation_id,
        "tags": ["Service"],
        "summary": summary,
        "description": "Open to everybody.",
        "responses": responses | errors(405, 500),
        "security": [],
    }

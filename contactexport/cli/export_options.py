"""Turns the options of `flask export changes` into the request that the API would get for them."""

import os
from typing import Any

import click

from contactexport.api.schemas import GetChanges, GetChangesSchema, load_get_changes
from contactexport.backend import Backend
from contactexport.cli.ftp_url import ftp_settings_from_url
from contactexport.db import catalogue_repository
from contactexport.errors import FTP_TLS_REQUIRED, InvalidRequest, UsageError

SAMPLE_HINT = "`flask contacts sample --contacts 0` loads the sample catalogue"
FTPS_EXPECTED = "this service uploads files with TLS only, ftps://user@host:port/folder expected"
DATES = "YYYY-MM-DD, 'YYYY-MM-DD HH:MM[:SS]' or ISO 8601 with an offset expected"


def asked_for(backend: Backend, options: dict[str, Any]) -> GetChanges:
    """The valid request. Raises UsageError and InvalidRequest, with the API's texts where it has one."""
    if options["origin"] != "all" and not options["origin_id"]:
        raise UsageError("Missing option '--origin-id': only --origin all goes without")
    with backend.contacts.transaction() as conn:
        catalogue = catalogue_repository.read(conn)
    if not catalogue.fields:
        raise UsageError(f"No contact field is known yet: {SAMPLE_HINT}")
    schema = GetChangesSchema(
        catalogue,
        backend.settings.time_zone,
        backend.settings.language,
        backend.guard,
        ftp_tls_required=backend.settings.ftp_tls_required,
    )
    try:
        return load_get_changes(schema, _body(options))
    except InvalidRequest as error:
        if "start_date" in error.text:  # the API's text does not show the dates
            raise UsageError(f"{error.text} (--from {options['start']} --to {options['end']}): {DATES}") from None
        if error.text == FTP_TLS_REQUIRED:
            raise UsageError(f"Invalid value for --ftp: {options['ftp']}: {FTPS_EXPECTED}") from None
        raise


def ask_ftp_password() -> str:
    """From FTP_PASSWORD, else from the terminal without echo: never from an argument, which others can see."""
    return _ask("FTP_PASSWORD", "FTP password")


def ask_notification_url() -> str:
    """The same from NOTIFICATION_URL: it may hold a password."""
    return _ask("NOTIFICATION_URL", "Notification URL, with its credentials (empty: notify nobody)")


def _ask(variable: str, question: str) -> str:
    kept = os.environ.get(variable)
    if kept is not None:
        return kept
    answer: str = click.prompt(question, hide_input=True, err=True, default="", show_default=False)
    return answer


def _body(options: dict[str, Any]) -> dict[str, Any]:
    ftp = ftp_settings_from_url(options["ftp"]) if options["ftp"] else None
    return {
        "distribution_method": "ftp" if ftp else "local",
        "time_range": [options["start"], options["end"]],
        "origin": options["origin"],
        "origin_id": _split(options["origin_id"] or ""),
        "contact_fields": _split(options["fields"]),
        "delimiter": options["delimiter"],
        "add_field_names_header": int(options["header"]),
        "language": options["language"],
        "spreadsheet": int(options["spreadsheet"]),
        "may_end_early": int(options["may_end_early"]),
        "may_be_incomplete": int(options["may_be_incomplete"]),
        "ftp_settings": ftp and ftp | {"password": ask_ftp_password(), "temporary_name": options["ftp_temporary_name"]},
    }


def _split(listed: str) -> list[str]:
    return [one.strip() for one in listed.split(",")] if listed.strip() else []

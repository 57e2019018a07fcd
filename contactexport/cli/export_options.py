"""Turns the options of `flask export changes` into the request that the API would get for them."""

from typing import Any

from contactexport.api.schemas import GetChanges, GetChangesSchema, load_get_changes
from contactexport.catalogue import Catalogue
from contactexport.cli.delivery_options import ask_secret, delivery_of
from contactexport.contact_import.header import FieldNames
from contactexport.context import Context
from contactexport.errors import FTP_TLS_REQUIRED, InvalidRequest, UsageError

SAMPLE_HINT = "`flask contacts sample --contacts 0` loads the sample catalogue"
FTPS_EXPECTED = "this service uploads files with TLS only, ftps://user@host:port/folder expected"
DATES = "YYYY-MM-DD, 'YYYY-MM-DD HH:MM[:SS]' or ISO 8601 with an offset expected"


def asked_for(context: Context, options: dict[str, Any]) -> GetChanges:
    """Returns the valid request. Raises UsageError, or InvalidRequest with the text of the API."""
    if options["origin"] != "all" and not options["origin_id"]:
        raise UsageError("Missing option '--origin-id': only --origin all works without it")
    _require_window(options)
    catalogue = known_fields(context)
    schema = GetChangesSchema(
        catalogue,
        context.settings.time_zone,
        context.settings.language,
        context.guard,
        "full" if options["full"] else "changes",
        ftp_tls_required=context.settings.ftp_tls_required,
        sftp_unknown_hosts=context.settings.sftp_unknown_hosts,
    )
    try:
        return load_get_changes(schema, _body(options, catalogue))
    except InvalidRequest as error:
        if "start_date" in error.text:  # the API's text does not show the dates
            raise UsageError(f"{error.text} (--from {options['start']} --to {options['end']}): {DATES}") from None
        if error.text == FTP_TLS_REQUIRED:
            raise UsageError(f"Invalid value for --ftp: {options['ftp']}: {FTPS_EXPECTED}") from None
        raise


def known_fields(context: Context) -> Catalogue:
    """The catalogue. Raises UsageError if it has no fields."""
    with context.contacts.transaction() as conn:
        catalogue = Catalogue.read(conn)
    if not catalogue.fields:
        raise UsageError(f"No contact field is known yet: {SAMPLE_HINT}")
    return catalogue


def _require_window(options: dict[str, Any]) -> None:
    for option, given in (("--from", options["start"]), ("--to", options["end"])):
        if given and options["full"]:
            raise UsageError(f"{option} and --full exclude each other: --full exports all contacts as they are now")
        if not (given or options["full"]):
            raise UsageError(f"Missing option '{option}': only --full works without it")
    if options["removed"] and options["full"]:
        raise UsageError("--removed and --full exclude each other: --full exports contacts that exist")


def ask_notification_url() -> str:
    """From NOTIFICATION_URL, or from the terminal without echo, because it may contain a password."""
    return ask_secret("NOTIFICATION_URL", "Notification URL, with its credentials (empty: notify nobody)")


def _body(options: dict[str, Any], catalogue: Catalogue) -> dict[str, Any]:
    return {
        "distribution_method": "local",
        "time_range": [options["start"], options["end"]],
        "origin": options["origin"],
        "origin_id": split(options["origin_id"] or ""),
        "contact_fields": field_ids(catalogue, options["fields"]),
        "delimiter": options["delimiter"],
        "add_field_names_header": int(options["header"]),
        "language": options["language"],
        "spreadsheet": int(options["spreadsheet"]),
        "may_end_early": int(options["may_end_early"]),
        "may_be_incomplete": int(options["may_be_incomplete"]),
        "removed": int(options["removed"]),
        "origin_column": int(options["origin_column"]),
        **delivery_of(options),
    }


def field_ids(catalogue: Catalogue, listed: str) -> list[str]:
    """The ids of fields by id or name, separated by commas. Raises ContactExportError for an unknown name."""
    names = FieldNames(catalogue)
    return [one if one.isdigit() else str(names.find(one).id) for one in split(listed)]


def split(listed: str) -> list[str]:
    """The values between commas."""
    return [one.strip() for one in listed.split(",")] if listed.strip() else []

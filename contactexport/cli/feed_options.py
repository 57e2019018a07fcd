"""Turns the options of `flask feeds add` and `flask feeds set` into the requests that the API would get for them."""

from collections.abc import Callable
from functools import partial
from typing import Any

from contactexport.api.feed_schemas import FeedSchema, body_of, load_feed
from contactexport.catalogue import Catalogue
from contactexport.cli.export_options import (
    FTPS_EXPECTED,
    ask_ftp_password,
    ask_notification_url,
    field_ids,
    known_fields,
    split,
)
from contactexport.cli.ftp_url import ftp_settings_from_url
from contactexport.context import Context
from contactexport.errors import FTP_TLS_REQUIRED, InvalidRequest, UsageError
from contactexport.feeds.manage import WantedFeed
from contactexport.feeds.models import Feed

NO_SCHEDULE = "none"


def wanted(context: Context, options: dict[str, Any]) -> WantedFeed:
    """What `flask feeds add` asks for. Raises UsageError, or InvalidRequest with the text of the API."""
    if options["origin"] != "all" and not options["origin_id"]:
        raise UsageError("Missing option '--origin-id': only --origin all works without it")
    return _loaded(context, known_fields(context), {"distribution_method": "local"}, options)


def changed(context: Context, feed: Feed, options: dict[str, Any]) -> tuple[WantedFeed, list[str]]:
    """What `flask feeds set` asks for, and which secrets of the feed stay. Raises UsageError, InvalidRequest."""
    begin = body_of(feed)
    if options["password"]:
        if feed.settings.ftp is None or options["ftp"]:
            raise UsageError("--password is for a feed by FTP, without --ftp, which asks for it anyway")
        begin["ftp_settings"] |= {"password": ask_ftp_password()}
    new_target = options["ftp"] or options["password"]
    kept = [*([] if new_target else ["ftp_settings"]), *([] if options["notify"] is not None else ["notification_url"])]
    return _loaded(context, known_fields(context), begin, options | {"name": feed.name}), kept


def _loaded(context: Context, catalogue: Catalogue, begin: dict[str, Any], options: dict[str, Any]) -> WantedFeed:
    given = {name: value for name, value in options.items() if value is not None}
    parameters: dict[str, tuple[str, Callable[[Any], Any]]] = {
        **{name: (name, str) for name in ("name", "origin", "delimiter", "language")},
        **{name: (name, int) for name in ("removed", "origin_column")},
        "header": ("add_field_names_header", int),
        "start": ("from", str),
        "schedule": ("schedule", lambda text: None if text == NO_SCHEDULE else text),
        "origin_id": ("origin_id", split),
        "fields": ("contact_fields", partial(field_ids, catalogue)),
    }
    read = {parameters[name]: value for name, value in given.items() if name in parameters}
    body = begin | {parameter: convert(value) for (parameter, convert), value in read.items()}
    if given.get("ftp"):
        target = ftp_settings_from_url(given["ftp"]) | {"temporary_name": given.get("ftp_temporary_name")}
        body |= {"distribution_method": "ftp", "ftp_settings": target | {"password": ask_ftp_password()}}
    if given.get("notify"):
        body["notification_url"] = ask_notification_url() or None
    zone, language = context.settings.time_zone, context.settings.language
    tls = context.settings.ftp_tls_required
    try:
        return load_feed(FeedSchema(catalogue, zone, language, context.guard, ftp_tls_required=tls), body)
    except InvalidRequest as error:
        if error.text == FTP_TLS_REQUIRED:
            raise UsageError(f"Invalid value for --ftp: {given.get('ftp')}: {FTPS_EXPECTED}") from None
        raise

"""Turns the options of `flask feeds add` and `flask feeds set` into the requests that the API would get for them."""

from collections.abc import Callable
from functools import partial
from typing import Any

from contactexport.api.feed_schemas import FeedSchema, body_of, load_feed
from contactexport.catalogue import Catalogue
from contactexport.cli.delivery_options import ask_ftp_password, ask_sftp_credentials, delivery_of
from contactexport.cli.export_options import (
    FTPS_EXPECTED,
    ask_notification_url,
    field_ids,
    known_fields,
    split,
)
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
    new_target = options["ftp"] or options["sftp"]
    if options["password"] or (options["sftp_key_file"] and not new_target):
        if feed.settings.remote is None or new_target:
            raise UsageError(
                "--password is for a feed by FTP or SFTP, without --ftp and --sftp, which ask for it anyway"
            )
        begin = _with_new_secret(begin, feed, options)
        options, new_target = options | {"sftp_key_file": None}, True
    kept = [*([] if new_target else ["target"]), *([] if options["notify"] is not None else ["notification_url"])]
    return _loaded(context, known_fields(context), begin, options | {"name": feed.name}), kept


def _with_new_secret(begin: dict[str, Any], feed: Feed, options: dict[str, Any]) -> dict[str, Any]:
    if feed.settings.ftp is not None:
        if options["sftp_key_file"]:
            raise UsageError(f"--sftp-key-file is for SFTP, and the feed {feed.name} goes by FTP")
        return begin | {"ftp_settings": begin["ftp_settings"] | {"password": ask_ftp_password()}}
    return begin | {"sftp_settings": begin["sftp_settings"] | vars(ask_sftp_credentials(options["sftp_key_file"]))}


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
    body |= {name: value for name, value in delivery_of(options).items() if value is not None}
    if given.get("notify"):
        body["notification_url"] = ask_notification_url() or None
    zone, language = context.settings.time_zone, context.settings.language
    settings = context.settings
    schema = FeedSchema(
        catalogue,
        zone,
        language,
        context.guard,
        ftp_tls_required=settings.ftp_tls_required,
        sftp_unknown_hosts=settings.sftp_unknown_hosts,
    )
    try:
        return load_feed(schema, body)
    except InvalidRequest as error:
        if error.text == FTP_TLS_REQUIRED:
            raise UsageError(f"Invalid value for --ftp: {given.get('ftp')}: {FTPS_EXPECTED}") from None
        raise

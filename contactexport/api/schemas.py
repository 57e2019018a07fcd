"""The marshmallow schema of requests for an export: a body in, an ExportSettings and the FTP password out.

One error is reported, the first in the documented order: what is missing, then what is wrong (contract, Request).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import tzinfo
from typing import Any
from urllib.parse import urlsplit

from marshmallow import EXCLUDE, Schema, ValidationError, missing, post_load, pre_load, validates

from contactexport.api.ftp_settings_schema import FtpSettings, FtpSettingsSchema
from contactexport.api.request_fields import (
    ContactFields,
    Flag,
    InvalidUrl,
    InvalidValue,
    Language,
    NotificationUrl,
    OneOf,
    OriginIds,
    TimeRange,
)
from contactexport.client_rules import STRICT, ClientRules
from contactexport.errors import FTP_TLS_REQUIRED, NO_LONGER_KEPT, HostRefused, InvalidRequest
from contactexport.models import Catalogue, ExportSettings, FtpTarget
from contactexport.network_guard import NetworkGuard

REQUIRED = ("distribution_method", "time_range", "origin", "origin_id", "contact_fields")
REQUIRED_FOR_FTP = ("host", "username", "password")
OFF = {"default": 0, "example": 0}


@dataclass(frozen=True)
class GetChanges:
    """A valid request."""

    settings: ExportSettings
    ftp_password: str | None


class GetChangesSchema(Schema):
    """The body of POST /api/v2/contact/getchanges; the fields stand in the order in which errors are reported."""

    class Meta:
        """Unknown keys are ignored (contract, Request)."""

        unknown = EXCLUDE

    distribution_method = OneOf(
        "ftp",
        "local",
        message="Invalid distribution method: {value}",
        required=True,
        metadata={"description": "`ftp` uploads the file, `local` keeps it for download", "example": "ftp"},
    )
    time_range = TimeRange(
        required=True,
        metadata={
            "description": "start (included) and end (not included): `YYYY-MM-DD`, `YYYY-MM-DD HH:MM[:SS]`, "
            "or ISO 8601 with an offset, to the microsecond at most",
            "example": ["2012-02-09", "2012-04-02"],
        },
    )
    origin = OneOf(
        "form",
        "api",
        "all",
        message="Invalid origin: {value}",
        required=True,
        metadata={"description": "what the contacts belong to: a form, an API source, or anything", "example": "form"},
    )
    origin_id = OriginIds(
        metadata={
            "description": "one form or API source, or an array of them; 0 with `api` means contacts without a source. "
            "Required unless origin is `all`, and ignored then",
            "example": "123",
        }
    )
    contact_fields = ContactFields(
        required=True,
        metadata={
            "description": "ids of contact fields, the columns in this order; 27, 28, 29, 32 and 33 are never exported",
            "example": ["1", "3", "106533"],
        },
    )
    delimiter = OneOf(
        ",",
        ";",
        message="Invalid value for delimiter: {value}",
        load_default=",",
        metadata={"description": "what stands between two values", "example": ";"},
    )
    add_field_names_header = Flag(
        load_default=True, metadata={"description": "1: the first line names the fields", "default": 1, "example": 1}
    )
    language = Language(
        load_default=None,
        metadata={"description": "of names and labels, in either case; without it the service's", "example": "en"},
    )
    ftp_settings = FtpSettings(
        FtpSettingsSchema, load_default=None, metadata={"description": "required for `ftp`, ignored for `local`"}
    )
    notification_url = NotificationUrl(
        load_default=None,
        metadata={
            "description": "called by POST once the export has ended, with its status; one with credentials "
            "or a query is stored encrypted, until then",
            "example": "https://www.example.com/exported",
        },
    )
    spreadsheet = Flag(
        load_default=False,
        metadata=OFF | {"description": "1: for spreadsheet programs, with BOM and CRLF, and formulas made harmless"},
    )
    may_end_early = Flag(
        load_default=False,
        metadata=OFF | {"description": "1: a time range in the past may be cut, too, as `effective_until` tells"},
    )
    may_be_incomplete = Flag(
        load_default=False,
        metadata=OFF | {"description": "1: take what is kept of a time range, as `complete_from` tells"},
    )

    def __init__(
        self,
        catalogue: Catalogue,
        time_zone: tzinfo,
        language: str,
        guard: NetworkGuard,
        export_type: str = "changes",
        rules: ClientRules = STRICT,
        *,
        ftp_tls_required: bool = False,
    ) -> None:
        super().__init__()
        self.catalogue = catalogue
        self.time_zone = time_zone
        self.default_language = language
        self.guard = guard
        self.export_type = export_type
        self.rules = rules
        self.ftp_tls_required = ftp_tls_required
        self.defaults = {name: one.load_default for name, one in self.fields.items() if one.load_default is not missing}

    @pre_load
    def keep_what_counts(self, data: Mapping[str, Any], **_kwargs: Any) -> dict[str, Any]:
        """Drops nulls, and what another parameter makes irrelevant; then asks for what is missing."""
        kept = _without_nulls(data)
        for name in self.rules.empty_means_absent:
            if kept.get(name) == "":
                del kept[name]
        if self.rules.origin_of_registrations and self.export_type == "registrations":
            kept.setdefault("origin", "all")
        if kept.get("origin") == "all":
            kept.pop("origin_id", None)
        if kept.get("distribution_method") != "ftp":
            kept.pop("ftp_settings", None)
        elif isinstance(kept.get("ftp_settings"), dict):
            kept["ftp_settings"] = _without_nulls(kept["ftp_settings"])
        _require_parameters(kept)
        return kept

    @validates("ftp_settings")
    def refuse_inner_hosts(self, ftp_settings: dict[str, Any] | None, **_kwargs: Any) -> None:
        """What can be known about a host without asking a name server."""
        if ftp_settings is not None and {"host", "port"} <= ftp_settings.keys():  # else refused already
            try:
                self.guard.check_literal(ftp_settings["host"], ftp_settings["port"])
            except HostRefused:
                raise InvalidValue("ftp_settings.host", ftp_settings["host"]) from None

    @validates("ftp_settings")
    def refuse_plain_ftp(self, ftp_settings: dict[str, Any] | None, **_kwargs: Any) -> None:
        """Where the operator requires TLS."""
        if self.ftp_tls_required and ftp_settings is not None and ftp_settings.get("tls") is False:
            raise ValidationError(FTP_TLS_REQUIRED)

    @validates("notification_url")
    def refuse_inner_urls(self, url: str | None, **_kwargs: Any) -> None:
        """The same for the URL's host."""
        if url is not None:
            parts = urlsplit(url)
            try:
                self.guard.check_literal(str(parts.hostname), parts.port or (443 if parts.scheme == "https" else 80))
            except HostRefused:
                raise InvalidUrl("notification_url", url) from None

    @post_load
    def to_settings(self, data: dict[str, Any], **_kwargs: Any) -> GetChanges:
        """The normalised settings."""
        data = self.defaults | data
        ftp, since = data["ftp_settings"], self.catalogue.complete_only_from(data["time_range"][0])
        if since is not None and not data["may_be_incomplete"]:
            raise ValidationError(NO_LONGER_KEPT.format(since=since.astimezone(self.time_zone).isoformat()))
        return GetChanges(
            ExportSettings(
                distribution_method=data["distribution_method"],
                origin=data["origin"],
                origin_ids=data.get("origin_id", ()),
                start=data["time_range"][0],
                end=data["time_range"][1],
                contact_fields=data["contact_fields"],
                delimiter=data["delimiter"],
                header=data["add_field_names_header"],
                language=data["language"] or self.default_language,
                ftp=_ftp_target(ftp) if ftp else None,
                notification_url=data["notification_url"],
                spreadsheet=data["spreadsheet"],
                type=self.export_type,
                may_end_early=data["may_end_early"],
                may_be_incomplete=data["may_be_incomplete"],
            ),
            ftp["password"] if ftp else None,
        )


def load_get_changes(schema: GetChangesSchema, body: Mapping[str, Any]) -> GetChanges:
    """The valid request. Raises InvalidRequest with the first error's text."""
    try:
        # `keep_what_counts` asks for what is required, and `to_settings` fills in defaults: most requests leave out
        # most fields, and marshmallow would do as much for each of them as for one that is there.
        loaded: GetChanges = schema.load(body, partial=True)
    except ValidationError as error:
        raise InvalidRequest(_first_text(error.messages, GetChangesSchema)) from None
    return loaded


def _ftp_target(ftp: Mapping[str, Any]) -> FtpTarget:
    known = {name: ftp[name] for name in ("host", "port", "username", "tls", "temporary_name")}
    return FtpTarget(**known, folder=ftp["folder"] or None)


def _without_nulls(data: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in data.items() if value is not None}


def _require_parameters(data: Mapping[str, Any]) -> None:
    for name in REQUIRED:
        if name not in data and not (name == "origin_id" and data.get("origin") == "all"):
            raise ValidationError(f"Missing parameter: {name}")
    if data["distribution_method"] == "ftp":
        if "ftp_settings" not in data:
            raise ValidationError("Missing parameter: ftp_settings")
        for name in REQUIRED_FOR_FTP:
            if isinstance(data["ftp_settings"], dict) and name not in data["ftp_settings"]:
                raise ValidationError(f"Missing parameter: ftp_settings.{name}")


def _first_text(messages: Any, schema: type[Schema]) -> str:
    """The messages are lists by field, in a nested schema by field again, and by "_schema" for what is missing."""
    for name in ("_schema", *schema._declared_fields):
        if name in messages:
            found = messages[name]
            return str(found[0]) if isinstance(found, list) else _first_text(found, FtpSettingsSchema)
    return str(messages)

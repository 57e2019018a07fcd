"""The marshmallow schemas of requests for an export. A body becomes an ExportSettings and the FTP password.

Only the first error is reported, in the documented order: missing values, then wrong ones (contract, Request).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import tzinfo
from typing import Any, cast

from marshmallow import EXCLUDE, Schema, ValidationError, post_load, pre_load, validates

from contactexport.api.delivery_fields import (
    NESTED,
    EncryptionSchema,
    SftpSettingsSchema,
    delivery_of,
    relevant_delivery,
    require_delivery,
)
from contactexport.api.request_fields import (
    OFF,
    ContactFields,
    Flag,
    FtpSettingsSchema,
    InvalidValue,
    Language,
    NestedObject,
    NotificationUrl,
    OneOf,
    OriginIds,
    TimeRange,
)
from contactexport.catalogue import Catalogue
from contactexport.errors import FTP_TLS_REQUIRED, NO_LONGER_KEPT, REMOVALS_UNKNOWN, HostRefused, InvalidRequest
from contactexport.exports.models import ALL_TIME, ExportSettings
from contactexport.hosts.guard import NetworkGuard
from contactexport.moments import in_zone
from contactexport.users.client_rules import STRICT, ClientRules

REQUIRED = ("distribution_method", "time_range", "origin", "origin_id", "contact_fields")


@dataclass(frozen=True)
class GetChanges:
    """A valid request. `ftp_password` is the FTP password, or the text of the SFTP credentials."""

    settings: ExportSettings
    ftp_password: str | None


class GetChangesSchema(Schema):
    """The body of POST /api/v2/contact/getchanges. The order of the fields is that of the reported errors."""

    class Meta:
        """Unknown keys are ignored (contract, Request)."""

        unknown = EXCLUDE

    distribution_method = OneOf(
        "ftp",
        "sftp",
        "local",
        message="Invalid distribution method: {value}",
        required=True,
        metadata={"description": "`ftp` and `sftp` upload the file, `local` stores it for download", "example": "ftp"},
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
        metadata={"description": "what the contacts belong to: a form, an API source, or any", "example": "form"},
    )
    origin_id = OriginIds(
        metadata={
            "description": "one form or API source, or an array of them. 0 with `api` means contacts without a source. "
            "Ignored if origin is `all`, otherwise required",
            "example": "123",
        }
    )
    contact_fields = ContactFields(
        required=True,
        metadata={
            "description": "ids of contact fields, in the order of columns. 27, 28, 29, 32 and 33 are never exported",
            "example": ["1", "3", "106533"],
        },
    )
    delimiter = OneOf(
        ",",
        ";",
        message="Invalid value for delimiter: {value}",
        load_default=",",
        metadata={"description": "between two values", "example": ";"},
    )
    add_field_names_header = Flag(
        load_default=True, metadata={"description": "1: the first line names the fields", "default": 1, "example": 1}
    )
    language = Language(
        load_default=None,
        metadata={
            "description": "of names and labels, in either case. Default: the language of the service",
            "example": "en",
        },
    )
    ftp_settings = NestedObject(
        FtpSettingsSchema, load_default=None, metadata={"description": "required for `ftp`, else ignored"}
    )
    sftp_settings = NestedObject(
        SftpSettingsSchema,
        secret=True,
        load_default=None,
        metadata={"description": "required for `sftp`, else ignored"},
    )
    compression = OneOf(
        "gzip",
        message="Invalid value for compression: {value}",
        load_default=None,
        metadata={"description": "of the uploaded file, whose name ends in `.gz` then", "example": "gzip"},
    )
    encryption = NestedObject(
        EncryptionSchema,
        secret=True,
        load_default=None,
        metadata={"description": "of the uploaded file, whose name ends in `.pgp` then"},
    )
    notification_url = NotificationUrl(
        load_default=None,
        metadata={
            "description": "gets the final status by POST. Stored encrypted until then if with credentials or a query",
            "example": "https://www.example.com/exported",
        },
    )
    spreadsheet = Flag(
        load_default=False,
        metadata=OFF | {"description": "1: for spreadsheet programs, with BOM and CRLF, and formulas as plain text"},
    )
    may_end_early = Flag(
        load_default=False,
        metadata=OFF | {"description": "1: a time range in the past may also be cut, see `effective_until`"},
    )
    may_be_incomplete = Flag(
        load_default=False,
        metadata=OFF | {"description": "1: export what is left of a pruned time range, see `complete_from`"},
    )
    removed = Flag(
        load_default=False,
        metadata=OFF
        | {
            "description": "1: also contacts that were deleted, or have left the origins asked for, with empty fields; "
            "the last column `change` says `changed`, `deleted` or `moved`"
        },
    )
    origin_column = Flag(
        load_default=False,
        metadata=OFF | {"description": "1: a column `origin` behind the last update, such as `form:123`"},
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
        sftp_unknown_hosts: bool = False,
    ) -> None:
        super().__init__()
        self.catalogue = catalogue
        self.time_zone = time_zone
        self.default_language = language
        self.guard = guard
        self.export_type = export_type
        self.rules = rules
        self.ftp_tls_required = ftp_tls_required
        self.sftp_unknown_hosts = sftp_unknown_hosts

    @pre_load
    def keep_what_counts(self, data: Mapping[str, Any], **_kwargs: Any) -> dict[str, Any]:
        """Drops nulls and irrelevant parameters. Raises ValidationError for the first missing one."""
        kept = {name: value for name, value in data.items() if value is not None}
        for name in self.rules.empty_means_absent:
            if kept.get(name) == "":
                del kept[name]
        if self.rules.origin_of_registrations and self.export_type == "registrations":
            kept.setdefault("origin", "all")
        if self.export_type == "full":
            kept["time_range"] = [moment.isoformat() for moment in ALL_TIME]
        if kept.get("origin") == "all":
            kept.pop("origin_id", None)
        kept = relevant_delivery(kept)
        _require_parameters(kept, host_key=not self.sftp_unknown_hosts)
        return kept

    @validates("ftp_settings", "sftp_settings")
    def refuse_target(self, target: dict[str, Any] | None, data_key: str, **_kwargs: Any) -> None:
        """Refuses a host that is a forbidden address, and FTP without TLS if the operator requires TLS.

        Names are not resolved here.
        """
        if target is not None and {"host", "port"} <= target.keys():  # otherwise already refused
            try:
                self.guard.check_literal(target["host"], target["port"])
            except HostRefused:
                raise InvalidValue(f"{data_key}.host", target["host"]) from None
        if self.ftp_tls_required and target is not None and target.get("tls") is False:
            raise ValidationError(FTP_TLS_REQUIRED)

    @post_load
    def to_settings(self, data: dict[str, Any], **_kwargs: Any) -> GetChanges:
        """Returns the normalised settings."""
        delivery, secret = delivery_of(data)
        start, end = data["time_range"]
        full, removed = self.export_type == "full", data["removed"] and self.export_type == "changes"
        if not (full or data["may_be_incomplete"]):
            for text, since in (
                (NO_LONGER_KEPT, self.catalogue.complete_only_from(start)),
                (REMOVALS_UNKNOWN, self.catalogue.removals_only_from(start) if removed else None),
            ):
                if since is not None:
                    raise ValidationError(text.format(since=in_zone(since, self.time_zone).isoformat()))
        return GetChanges(
            ExportSettings(
                **delivery,
                distribution_method=data["distribution_method"],
                origin=data["origin"],
                origin_ids=data.get("origin_id", ()),
                start=start,
                end=end,
                contact_fields=data["contact_fields"],
                delimiter=data["delimiter"],
                header=data["add_field_names_header"],
                language=data["language"] or self.default_language,
                notification_url=data["notification_url"],
                spreadsheet=data["spreadsheet"],
                type=self.export_type,
                may_end_early=data["may_end_early"] or full,
                may_be_incomplete=data["may_be_incomplete"],
                removed=removed,
                origin_column=data["origin_column"],
            ),
            secret,
        )


def load_get_changes(schema: GetChangesSchema, body: Mapping[str, Any]) -> GetChanges:
    """Returns the valid request. Raises InvalidRequest with the text of the first error."""
    try:
        return cast(GetChanges, schema.load(body))
    except ValidationError as error:
        raise InvalidRequest(first_text(error.messages, GetChangesSchema)) from None


def _require_parameters(data: Mapping[str, Any], *, host_key: bool) -> None:
    needed = [name for name in REQUIRED if not (name == "origin_id" and data.get("origin") == "all")]
    if missing := [name for name in needed if name not in data]:
        raise ValidationError(f"Missing parameter: {missing[0]}")
    require_delivery(data, host_key=host_key)


def first_text(messages: Any, schema: type[Schema]) -> str:
    """The first error in the order of the fields.

    Messages are lists by field, in a nested schema by field again, and by "_schema" for missing values.
    """
    for name in ("_schema", *schema._declared_fields):
        if name in messages:
            found = messages[name]
            return str(found[0]) if isinstance(found, list) else first_text(found, NESTED[name])
    return str(messages)

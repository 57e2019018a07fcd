"""The answers of the API as marshmallow schemas, for the OpenAPI document."""

from typing import Any

from marshmallow import Schema, fields
from marshmallow.validate import OneOf, Regexp

from contactexport.exports.models import ExportStatus


class Envelope(Schema):
    """The form of every answer."""

    replyCode = fields.Integer(required=True, metadata={"description": "0 when all went well"})  # noqa: N815 - its name
    replyText = fields.String(required=True, metadata={"description": "OK, or what is wrong"})  # noqa: N815 - its name
    data: fields.Field[Any] = fields.Raw(required=True)


class ErrorReply(Envelope):
    """An error. The text says what is wrong."""

    data = fields.String(required=True, validate=OneOf([""]), metadata={"description": "always empty"})


class AcceptedExport(Schema):
    """The data of an accepted export."""

    id = fields.Integer(required=True, metadata={"description": "ask for its status with this id", "example": 2140})


class AcceptedExportReply(Envelope):
    """The answer of getchanges (specification)."""

    data = fields.Nested(AcceptedExport, required=True)


class DeliveryAttempt(Schema):
    """One attempt to deliver by FTP or SFTP."""

    attempt = fields.Integer(required=True, metadata={"example": 1})
    at = fields.String(required=True, metadata={"example": "2012-04-02T09:30:12.345678+00:00"})
    reply = fields.String(
        required=True,
        metadata={"description": "the last reply of the host, or what went wrong", "example": "250 Renamed."},
    )


class DeliveredForm(Schema):
    """What a host got, if the file was compressed or encrypted for it."""

    file_name = fields.String(required=True, metadata={"example": "changes_2140_en-9f3a1c.csv.gz"})
    bytes = fields.Integer(required=True, metadata={"example": 9121})
    sha256 = fields.String(required=True, metadata={"example": "5c1e" * 16})


class EncryptedFor(Schema):
    """Whom a file is encrypted for."""

    openpgp_fingerprint = fields.String(
        required=True, metadata={"description": "of the key", "example": "4BB76721B03EBD8AD9DEF32669AF2A85B67AEAB1"}
    )


class Status(Schema):
    """The status of an export (contract, Status)."""

    id = fields.String(required=True, metadata={"example": "2140"})
    created = fields.String(
        required=True,
        validate=Regexp(r"^\d{4}-\d{2}-\d{2} \d{2}:\d{2}:\d{2}$"),
        metadata={"description": "in the time zone of the service", "example": "2012-04-02 09:30:00"},
    )
    status = fields.String(
        required=True,
        validate=OneOf([str(status) for status in ExportStatus]),
        metadata={
            "description": "`ready`: the file is complete and not delivered yet. `done` and `error` are final.",
            "example": "done",
        },
    )
    type = fields.String(
        required=True, validate=OneOf(["changes", "registrations", "full"]), metadata={"example": "changes"}
    )
    distribution_method = fields.String(
        required=True, validate=OneOf(["local", "ftp", "sftp"]), metadata={"example": "local"}
    )
    origin = fields.String(required=True, validate=OneOf(["form", "api", "all"]), metadata={"example": "form"})
    origin_id = fields.List(
        fields.Integer(), required=True, metadata={"description": "empty for all origins", "example": [123]}
    )
    contact_fields = fields.List(
        fields.Integer(), required=True, metadata={"description": "columns of the file", "example": [1, 3, 106533]}
    )
    created_by = fields.String(required=True, metadata={"description": "name of the user", "example": "anna"})
    file_name = fields.String(
        required=True,
        allow_none=True,
        metadata={"description": "null until done", "example": "changes_2140_en-9f3a1c.csv"},
    )
    ftp_host = fields.String(
        required=True, allow_none=True, metadata={"description": "null for local exports", "example": "www.example.com"}
    )
    ftp_dir = fields.String(required=True, allow_none=True, metadata={"example": "path/of/a/folder"})
    rows = fields.Integer(
        required=True, allow_none=True, metadata={"description": "contacts in the file", "example": 1287}
    )
    rows_expected = fields.Integer(
        required=True,
        allow_none=True,
        metadata={
            "description": "estimated rows, from the start of the run. Equals `rows` when the file is complete",
            "example": 1287,
        },
    )
    rows_expected_exact = fields.Boolean(
        required=True,
        metadata={
            "description": "true when the file is complete. Before, `rows_expected` is an estimate",
            "example": True,
        },
    )
    bytes = fields.Integer(
        required=True, allow_none=True, metadata={"description": "size of the file", "example": 58213}
    )
    sha256 = fields.String(
        required=True,
        allow_none=True,
        metadata={
            "description": "of the file, hexadecimal",
            "example": "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
        },
    )
    time_range = fields.List(
        fields.String(),
        required=True,
        metadata={
            "description": "the window, start included and end not",
            "minItems": 2,
            "maxItems": 2,
            "example": ["2012-02-09T00:00:00+00:00", "2012-04-02T00:00:00+00:00"],
        },
    )
    complete_from = fields.String(
        required=True,
        allow_none=True,
        metadata={
            "description": "earlier changes are pruned and missing. null: none is missing, or the file is not "
            "complete yet",
            "example": None,
        },
    )
    effective_until = fields.String(
        required=True,
        allow_none=True,
        metadata={
            "description": "changes up to here are in the file. Before the end of the window if that was still open",
            "example": "2012-04-02T00:00:00+00:00",
        },
    )
    next_from = fields.String(
        required=True,
        allow_none=True,
        metadata={
            "description": "where the next window starts, so that windows have no gap and no overlap",
            "example": "2012-04-02T00:00:00+00:00",
        },
    )
    attempts = fields.Integer(required=True, metadata={"description": "number of attempts", "example": 1})
    delivery = fields.List(
        fields.Nested(DeliveryAttempt),
        required=True,
        metadata={"description": "the last attempts to upload, oldest first. Empty for local exports"},
    )
    error = fields.String(
        required=True, allow_none=True, metadata={"description": "why it failed or is retried", "example": None}
    )
    next_attempt = fields.String(
        required=True,
        allow_none=True,
        metadata={"description": "when it is retried after a failed attempt", "example": None},
    )
    compression = fields.String(
        validate=OneOf(["gzip"]), metadata={"description": "of the uploaded file; absent if none"}
    )
    encryption = fields.Nested(EncryptedFor, metadata={"description": "of the uploaded file; absent if none"})
    delivered = fields.Nested(
        DeliveredForm, metadata={"description": "the uploaded form, once done; absent if it is the file itself"}
    )
    feed = fields.String(metadata={"description": "the feed that it is a run of; absent if none", "example": "nightly"})
    sequence = fields.Integer(metadata={"description": "the number of its file in the feed", "example": 7})
    warnings = fields.List(
        fields.String(),
        metadata={
            "description": "what may be wrong with the file, such as changes that were not logged; absent if none",
            "example": ["Changes may be missing: the trigger customer_updated of shop.customer is disabled"],
        },
    )


class StatusReply(Envelope):
    """The answer of export/{id}."""

    data = fields.Nested(Status, required=True)


class ExportsReply(Envelope):
    """The answer of export."""

    data = fields.List(fields.Nested(Status), required=True)


class Alive(Schema):
    """The data of healthz."""

    alive = fields.Boolean(required=True, metadata={"example": True})


class AliveReply(Envelope):
    """The answer of healthz."""

    data = fields.Nested(Alive, required=True)


class ReadinessReply(Envelope):
    """The answer of readyz."""

    data = fields.Dict(
        keys=fields.String(),
        values=fields.String(),
        required=True,
        metadata={
            "description": "each part by name",
            "example": {"database": "ok", "storage": "not marked", "broker": "ok"},
        },
    )


class AccessToken(Schema):
    """RFC 6749, 5.1."""

    access_token = fields.String(required=True, metadata={"example": "cxo_2YotnFZFEjr1zCsicMWpAA"})
    token_type = fields.String(required=True, validate=OneOf(["Bearer"]), metadata={"example": "Bearer"})
    expires_in = fields.Integer(required=True, metadata={"description": "seconds", "example": 3600})


class OauthError(Schema):
    """RFC 6749, 5.2."""

    error = fields.String(required=True, metadata={"example": "invalid_client"})
    error_description = fields.String(metadata={"example": "Unauthorized"})

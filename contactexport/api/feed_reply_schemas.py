"""The answers about feeds, as marshmallow schemas for the OpenAPI document."""

from marshmallow import Schema, fields
from marshmallow.validate import OneOf

from contactexport.api.response_schemas import EncryptedFor, Envelope


class FeedStatus(Schema):
    """A feed: its settings without secrets, and where it stands."""

    name = fields.String(required=True, metadata={"example": "nightly"})
    team = fields.String(required=True, metadata={"example": "default"})
    created = fields.String(
        required=True, metadata={"description": "in the time zone of the service", "example": "2012-02-09 09:30:00"}
    )
    created_by = fields.String(required=True, metadata={"description": "name of the user", "example": "anna"})
    schedule = fields.String(
        required=True, allow_none=True, metadata={"description": "null: only when asked", "example": "0 2 * * *"}
    )
    next_run = fields.String(
        required=True,
        allow_none=True,
        metadata={"description": "when the next run is due", "example": "2012-04-03T02:00:00+00:00"},
    )
    running = fields.String(
        required=True, allow_none=True, metadata={"description": "id of the unfinished export", "example": "2140"}
    )
    sequence = fields.Integer(
        required=True, metadata={"description": "number of the last delivered file, 0 before the first", "example": 7}
    )
    last_manifest_sha256 = fields.String(
        required=True,
        allow_none=True,
        metadata={"description": "of its manifest, for `contactexport verify --last`", "example": "5c1e" * 16},
    )
    cursor = fields.String(
        required=True,
        allow_none=True,
        metadata={
            "description": "where the next window starts. null: the next run exports every contact",
            "example": "2012-04-02T02:00:00+00:00",
        },
    )
    acknowledged = fields.Integer(
        required=True, metadata={"description": "number of the last acknowledged file", "example": 6}
    )
    late = fields.Boolean(
        required=True, metadata={"description": "no file came within the feed's own interval", "example": False}
    )
    paused = fields.Boolean(required=True, metadata={"example": False})
    paused_since = fields.String(required=True, allow_none=True, metadata={"example": None})
    pause_reason = fields.String(
        required=True, allow_none=True, metadata={"description": "also why it paused itself", "example": None}
    )
    columns = fields.List(
        fields.List(fields.Raw(allow_none=True)),
        required=True,
        allow_none=True,
        metadata={
            "description": "id (null: no field) and name of the columns of the last delivered file",
            "example": [[None, "user_id"], [1, "First Name"], [None, "last update"], [None, "change"]],
        },
    )
    distribution_method = fields.String(
        required=True, validate=OneOf(["local", "ftp", "sftp"]), metadata={"example": "local"}
    )
    origin = fields.String(required=True, validate=OneOf(["form", "api", "all"]), metadata={"example": "form"})
    origin_id = fields.List(fields.Integer(), required=True, metadata={"example": [123]})
    contact_fields = fields.List(fields.Integer(), required=True, metadata={"example": [1, 3, 106533]})
    delimiter = fields.String(required=True, metadata={"example": ","})
    add_field_names_header = fields.Integer(required=True, metadata={"example": 1})
    language = fields.String(required=True, metadata={"example": "en"})
    removed = fields.Integer(required=True, metadata={"example": 1})
    origin_column = fields.Integer(required=True, metadata={"example": 0})
    ftp_host = fields.String(required=True, allow_none=True, metadata={"example": None})
    ftp_dir = fields.String(required=True, allow_none=True, metadata={"example": None})
    compression = fields.String(validate=OneOf(["gzip"]), metadata={"description": "absent if none"})
    encryption = fields.Nested(EncryptedFor, metadata={"description": "absent if none"})


class FeedReply(Envelope):
    """The answer of feed/{name}."""

    data = fields.Nested(FeedStatus, required=True)


class FeedsReply(Envelope):
    """The answer of feed."""

    data = fields.List(fields.Nested(FeedStatus), required=True)


class FeedNamed(Schema):
    """The data of a deleted feed."""

    name = fields.String(required=True, metadata={"example": "nightly"})


class NameReply(Envelope):
    """The answer about a deleted feed."""

    data = fields.Nested(FeedNamed, required=True)

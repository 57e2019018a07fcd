"""Manifests and their keys as marshmallow schemas, for the OpenAPI document."""

from marshmallow import Schema, fields
from marshmallow.validate import OneOf

from contactexport.api.response_schemas import DeliveredForm, Envelope


class ManifestKey(Schema):
    """A public key as a JWK. Unknown members are to be ignored."""

    kty = fields.String(required=True, validate=OneOf(["OKP"]))
    crv = fields.String(required=True, validate=OneOf(["Ed25519"]))
    x = fields.String(required=True, metadata={"example": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"})
    kid = fields.String(required=True, metadata={"example": "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k"})
    use = fields.String(required=True, validate=OneOf(["sig"]))
    alg = fields.String(required=True, validate=OneOf(["EdDSA"]))
    made_at = fields.String(required=True, metadata={"example": "2012-04-02T09:30:12.345678Z"})
    retired_at = fields.String(required=True, allow_none=True, metadata={"description": "null: it signs now"})


class ManifestKeys(Schema):
    """A JWK Set."""

    keys = fields.List(fields.Nested(ManifestKey), required=True)


class ManifestKeysReply(Envelope):
    """The answer of manifest-keys."""

    data = fields.Nested(ManifestKeys, required=True)


class ManifestWindow(Schema):
    """The window [start, end) of a file."""

    start = fields.String(required=True, allow_none=True, metadata={"description": "null: all contacts"})
    end = fields.String(required=True, metadata={"example": "2012-04-02T00:00:00.000000Z"})


class Manifest(Schema):
    """A signed description of a file. The signature is over the canonical JSON (RFC 8785) of all other members."""

    format = fields.String(required=True, metadata={"example": "contactexport-manifest-1"})
    feed = fields.String(required=True, allow_none=True, metadata={"description": "null: a single export"})
    feed_id = fields.Integer(required=True, allow_none=True)
    sequence = fields.Integer(required=True, metadata={"description": "in the feed, from 1; 0: a single export"})
    export = fields.Integer(required=True)
    file = fields.String(required=True)
    window = fields.Nested(ManifestWindow, required=True)
    complete_from = fields.String(required=True, allow_none=True, metadata={"description": "null: from its start"})
    columns = fields.List(fields.List(fields.Raw()), required=True, metadata={"description": "id or null, and name"})
    rows = fields.Integer(required=True)
    removed = fields.Integer(required=True, metadata={"description": "rows of contacts deleted or moved"})
    bytes = fields.Integer(required=True)
    sha256 = fields.String(required=True)
    delivered = fields.Nested(DeliveredForm, metadata={"description": "what the host got; absent: the file itself"})
    previous = fields.String(required=True, allow_none=True, metadata={"description": "SHA-256 of the one before"})
    reset = fields.Boolean(required=True, metadata={"description": "the window does not follow the one before"})
    columns_changed = fields.Boolean(required=True)
    supersedes = fields.List(fields.String(), required=True, metadata={"description": "files that are void"})
    made_at = fields.String(required=True)
    version = fields.String(required=True)
    key_id = fields.String(required=True)
    signature = fields.String(required=True, metadata={"description": "Ed25519, in base64"})

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

    start = fields.String(
        required=True,
        allow_none=True,
        metadata={"description": "null: all contacts", "example": "2012-04-01T00:00:00.000000Z"},
    )
    end = fields.String(required=True, metadata={"example": "2012-04-02T00:00:00.000000Z"})


class Manifest(Schema):
    """A signed description of a file. The signature is over the canonical JSON (RFC 8785) of all other members."""

    format = fields.String(required=True, metadata={"example": "contactexport-manifest-1"})
    feed = fields.String(
        required=True, allow_none=True, metadata={"description": "null: a single export", "example": "nightly"}
    )
    feed_id = fields.Integer(required=True, allow_none=True, metadata={"example": 3})
    sequence = fields.Integer(
        required=True, metadata={"description": "in the feed, from 1; 0: a single export", "example": 7}
    )
    export = fields.Integer(required=True, metadata={"example": 2140})
    file = fields.String(required=True, metadata={"example": "nightly-000007.csv"})
    window = fields.Nested(ManifestWindow, required=True)
    complete_from = fields.String(required=True, allow_none=True, metadata={"description": "null: from its start"})
    columns = fields.List(
        fields.List(fields.Raw()),
        required=True,
        metadata={
            "description": "id or null, and name",
            "example": [[None, "user_id"], [1, "First Name"], [None, "last update"], [None, "change"]],
        },
    )
    rows = fields.Integer(required=True, metadata={"example": 1287})
    removed = fields.Integer(
        required=True, metadata={"description": "rows of contacts deleted or moved", "example": 12}
    )
    bytes = fields.Integer(required=True, metadata={"example": 58213})
    sha256 = fields.String(
        required=True, metadata={"example": "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"}
    )
    delivered = fields.Nested(DeliveredForm, metadata={"description": "what the host got; absent: the file itself"})
    previous = fields.String(
        required=True, allow_none=True, metadata={"description": "SHA-256 of the one before", "example": "5c1e" * 16}
    )
    reset = fields.Boolean(
        required=True, metadata={"description": "the window does not follow the one before", "example": False}
    )
    columns_changed = fields.Boolean(required=True, metadata={"example": False})
    supersedes = fields.List(
        fields.String(), required=True, metadata={"description": "files that are void", "example": []}
    )
    made_at = fields.String(required=True, metadata={"example": "2012-04-02T09:30:12.345678Z"})
    version = fields.String(required=True, metadata={"example": "0.1.0"})
    key_id = fields.String(required=True, metadata={"example": "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k"})
    signature = fields.String(
        required=True, metadata={"description": "Ed25519, in base64", "example": "fZ2m" * 21 + "fQ=="}
    )

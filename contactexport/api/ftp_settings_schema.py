"""The object `ftp_settings` of a request: where a file is uploaded to."""

from typing import Any

from marshmallow import EXCLUDE, Schema, fields

from contactexport.api.request_fields import Flag, InvalidValue, Line, Port, TemporaryName


class FtpSettingsSchema(Schema):
    """The object `ftp_settings`."""

    class Meta:
        """Unknown keys are ignored (contract, Request)."""

        unknown = EXCLUDE

    host = Line(required=True, most=253, metadata={"description": "name or address", "example": "www.example.com"})
    port = Port(load_default=21, metadata={"description": "1 to 65535", "example": "1234"})
    username = Line(required=True, metadata={"example": "user"})
    password = Line(
        required=True,
        secret=True,
        may_be_empty=True,
        metadata={"description": "stored encrypted, until the file is delivered", "example": "pass"},
    )
    folder = Line(
        load_default=None,
        may_be_empty=True,
        metadata={"description": "made if it does not exist", "example": "path/of/a/folder"},
    )
    tls = Flag(
        parameter="ftp_settings.tls",
        load_default=False,
        metadata={"default": 0, "example": 0}
        | {"description": "1: explicit TLS, with a certificate that is valid for the host"},
    )
    temporary_name = TemporaryName(
        load_default=None,
        metadata={
            "description": "until the file is complete; `%s` is its name and the attempt, `%s` alone: no other name",
            "example": "%s.tmp",
        },
    )


class FtpSettings(fields.Nested):
    """The nested object, refused in our words when it is none."""

    def _deserialize(self, value: Any, *args: Any, **kwargs: Any) -> Any:
        if not isinstance(value, dict):
            raise InvalidValue("ftp_settings", value)
        return super()._deserialize(value, *args, **kwargs | {"partial": False})

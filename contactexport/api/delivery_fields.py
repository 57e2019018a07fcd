"""marshmallow fields for how a file is delivered by SFTP, and encrypted. No error shows a key or a passphrase."""

import re
from collections.abc import Mapping
from typing import Any, ClassVar

from marshmallow import EXCLUDE, Schema, ValidationError, fields, post_load

from contactexport.api.request_fields import FtpSettingsSchema, InvalidValue, Line, Port, TemporaryName
from contactexport.delivery import openpgp, sftp_credentials
from contactexport.delivery.sftp_credentials import MOST_KEY_CHARACTERS, SftpCredentials
from contactexport.exports.models import FtpTarget, SftpTarget

FINGERPRINT_EXPECTED = "SHA256: and 43 characters expected, as `ssh-keygen -l` prints the key of the host"


def hidden_value(parameter: str, expected: str) -> ValidationError:
    """The error for a secret value, with what was expected."""
    return ValidationError(f"Invalid value for {parameter}: ***: {expected}")


class PrivateKey(fields.Field[str]):
    """The text of a private key. It is read when its passphrase is known as well."""

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> str:
        if not isinstance(value, str) or len(value) > MOST_KEY_CHARACTERS or not value.strip().isascii():
            raise hidden_value(f"sftp_settings.{attr}", sftp_credentials.KEY_EXPECTED)
        return value


class HostKey(fields.Field[str]):
    """The SHA-256 fingerprint of a host's key."""

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> str:
        text = value.removesuffix("=") if isinstance(value, str) else ""
        if not re.fullmatch(sftp_credentials.FINGERPRINT, text):
            raise ValidationError(f"{InvalidValue(f'sftp_settings.{attr}', value).messages[0]}: {FINGERPRINT_EXPECTED}")
        return text


class OpenpgpKey(fields.Field[str]):
    """An armored public key that can encrypt now."""

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> str:
        try:
            return openpgp.read_certificate(value if isinstance(value, str) else "")
        except openpgp.BadCertificate as bad:
            raise hidden_value(f"encryption.{attr}", str(bad)) from None


class SftpSettingsSchema(Schema):
    """The object `sftp_settings` of a request: where a file is uploaded. Loads the target, and its `credentials`."""

    PARAMETER: ClassVar[str] = "sftp_settings"

    class Meta:
        """Unknown keys are ignored (contract, Request)."""

        unknown = EXCLUDE

    host = Line(required=True, most=253, metadata={"description": "name or address", "example": "sftp.example.com"})
    port = Port(load_default=22, metadata={"description": "1 to 65535", "example": "22"})
    username = Line(required=True, metadata={"example": "user"})
    password = Line(
        load_default=None,
        secret=True,
        may_be_empty=True,
        metadata={"description": "this or `private_key`. Stored encrypted until the file is delivered"},
    )
    private_key = PrivateKey(
        load_default=None,
        metadata={"description": "RSA, Ed25519 or ECDSA, as ssh-keygen writes it. Stored encrypted like a password"},
    )
    passphrase = Line(
        load_default=None, secret=True, metadata={"description": "of the private key, if it has one. Not stored"}
    )
    host_key = HostKey(
        load_default=None,
        metadata={
            "description": "fingerprint that the key of the host must have. Required unless the operator allows others",
            "example": "SHA256:47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU",
        },
    )
    folder = Line(
        load_default=None,
        may_be_empty=True,
        metadata={"description": "created if it does not exist", "example": "path/of/a/folder"},
    )
    temporary_name = TemporaryName(
        load_default=None, metadata={"description": "name during the upload, as for FTP", "example": "%s.tmp"}
    )

    @post_load
    def read_credentials(self, data: dict[str, Any], **_kwargs: Any) -> dict[str, Any]:
        """Raises ValidationError unless there is one secret, and a key that can be read."""
        password, key, passphrase = (data.pop(name, None) for name in ("password", "private_key", "passphrase"))
        if key is None and passphrase is not None:
            raise self._wrong("passphrase", "it is for a private key")
        if key is not None and password is not None:
            raise self._wrong("private_key", "either a password or a private key expected")
        try:
            key = key and sftp_credentials.read_private_key(key, passphrase)
        except sftp_credentials.BadPassphrase as bad:
            raise self._wrong("passphrase", str(bad)) from None
        except ValueError as bad:
            raise self._wrong("private_key", str(bad)) from None
        return data | {"credentials": SftpCredentials(password, key)}

    def _wrong(self, name: str, expected: str) -> ValidationError:
        text = str(hidden_value(f"{self.PARAMETER}.{name}", expected).messages[0])
        return ValidationError(text, field_name=name)


class EncryptionSchema(Schema):
    """The object `encryption` of a request: whom a file is encrypted for."""

    class Meta:
        """Unknown keys are ignored (contract, Request)."""

        unknown = EXCLUDE

    openpgp_key = OpenpgpKey(
        required=True,
        metadata={
            "description": "public key of the receiver, armored. It must have a subkey that can encrypt",
            "example": "-----BEGIN PGP PUBLIC KEY BLOCK-----\n\n…\n-----END PGP PUBLIC KEY BLOCK-----\n",
        },
    )


NESTED: Mapping[str, type[Schema]] = {
    "ftp_settings": FtpSettingsSchema,
    "sftp_settings": SftpSettingsSchema,
    "encryption": EncryptionSchema,
}
# Within these objects. SFTP also needs a password or a private key, and usually the pinned key of the host.
REQUIRED_WITHIN = {
    "ftp_settings": ("host", "username", "password"),
    "sftp_settings": ("host", "username"),
    "encryption": ("openpgp_key",),
}


def relevant_delivery(data: Mapping[str, Any]) -> dict[str, Any]:
    """The parameters without nulls in nested objects, and without the settings of the methods that are not chosen."""
    unused = {"ftp_settings", "sftp_settings"} - {f"{data.get('distribution_method')}_settings"}
    kept = {name: value for name, value in data.items() if name not in unused}
    for name in NESTED.keys() & kept.keys():
        if isinstance(kept[name], dict):
            kept[name] = {inner: value for inner, value in kept[name].items() if value is not None}
    return kept


def require_delivery(data: Mapping[str, Any], *, host_key: bool) -> None:
    """Raises ValidationError for the first parameter of the delivery that is missing."""
    settings = f"{data['distribution_method']}_settings"
    if settings in NESTED and settings not in data:
        raise ValidationError(f"Missing parameter: {settings}")
    for outer, required in REQUIRED_WITHIN.items():
        inner = data.get(outer)
        if isinstance(inner, dict):
            needed = list(required)
            if outer == "sftp_settings":
                needed += ["private_key" if "private_key" in inner else "password", *(["host_key"] * host_key)]
            if missing := [name for name in needed if name not in inner]:
                raise ValidationError(f"Missing parameter: {outer}.{missing[0]}")


def delivery_of(data: Mapping[str, Any]) -> tuple[dict[str, Any], str | None]:
    """The settings that say where and in which form the file goes, and the secret for it. Raises ValidationError."""
    if data["distribution_method"] == "local":
        for name in ("compression", "encryption"):
            if data[name] is not None:
                raise ValidationError(f"Invalid value for {name}: it is for ftp and sftp, not for local")
    key = data["encryption"]["openpgp_key"] if data["encryption"] else None
    form = {"compression": data["compression"], "openpgp_key": key}
    if ftp := data["ftp_settings"]:
        password = ftp.pop("password")
        return form | {"ftp": FtpTarget(**ftp | {"folder": ftp["folder"] or None})}, password
    if sftp := data["sftp_settings"]:
        credentials = sftp.pop("credentials")
        return form | {"sftp": SftpTarget(**sftp | {"folder": sftp["folder"] or None})}, credentials.to_text()
    return form, None

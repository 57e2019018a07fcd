"""marshmallow fields for the parameters of getchanges. Their messages are the reply texts (specification, Errors)."""

import json
import re
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Any, ClassVar
from urllib.parse import urlsplit

from marshmallow import EXCLUDE, Schema, ValidationError, fields

from contactexport.errors import HostRefused
from contactexport.languages import LANGUAGES
from contactexport.secrets.hidden_url import hidden
from contactexport.setting_values import temporary_name

DAY = re.compile(r"\d{4}-\d{2}-\d{2}", re.ASCII)
# Not 24:00, which only newer versions of Python read.
DAY_AND_TIME = re.compile(r"\d{4}-\d{2}-\d{2} (?!24)\d{2}:\d{2}(:\d{2})?", re.ASCII)
WITH_OFFSET = re.compile(
    r"\d{4}-\d{2}-\d{2}[T ](?!24)\d{2}:\d{2}(:\d{2}(\.\d{1,6})?)?(Z|[+-]\d{2}(:?\d{2})?)", re.ASCII
)
NO_MOMENT = "Valid start_date and end_date is required"
MAX_DIGITS = 18  # more than any id has, and still a bigint
CONTROL_CHARACTER = re.compile(r"[\x00-\x1f\x7f-\x9f]")  # Unicode category Cc
OFF = {"default": 0, "example": 0}  # in the description of a Flag


def shown(value: Any) -> str:
    """Returns a value as error texts show it: a string unchanged, anything else as JSON (contract, Request)."""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def integer(value: Any) -> int | None:
    """Returns a JSON integer or a string of decimal digits as int, else None (contract, Request)."""
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    if isinstance(value, str) and value.isascii() and value.isdigit():
        return int(value) if len(value) <= MAX_DIGITS else 10**MAX_DIGITS
    return None


class InvalidValue(ValidationError):
    """`Invalid value for [parameter]: [value]`."""

    def __init__(self, parameter: str, value: Any) -> None:
        super().__init__(f"Invalid value for {parameter}: {shown(value)}")


class InvalidUrl(ValidationError):
    """The same, but hides what may be a password or a token."""

    def __init__(self, parameter: str, value: Any) -> None:
        super().__init__(f"Invalid value for {parameter}: {hidden(shown(value))}")


class OneOf(fields.Field[str]):
    """One of a few strings. `message` is the error text, with {value}."""

    def __init__(self, *allowed: str, message: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.allowed = allowed
        self.message = message

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> str:
        if not isinstance(value, str) or value not in self.allowed:
            raise ValidationError(self.message.format(value=shown(value)))
        return value


class TimeRange(fields.Field[tuple[datetime, datetime]]):
    """Two dates: the window [start, end) in UTC. A date without offset is in the time zone of the schema."""

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> tuple[datetime, datetime]:
        if not isinstance(value, list):
            raise ValidationError("Invalid data format for time_range. Array expected")
        if len(value) != 2:
            raise ValidationError("Invalid data format for time_range. Array size must be 2")
        start, end = (moment(item, self.parent.time_zone) for item in value)  # type: ignore[union-attr] # our schema
        may_be_empty = self.parent.rules.equal_start_and_end  # type: ignore[union-attr] # our schema
        if end < start or (end == start and not may_be_empty):
            raise ValidationError("Invalid value for end_date: end_date is earlier than the start_date")
        return start, end


def moment(value: Any, time_zone: tzinfo) -> datetime:
    """Returns a date of a time range in UTC. Raises ValidationError.

    A date without offset is in the time zone. At a clock change it is the first of two moments, or the change itself if
    the clock skips this time. So a later time never means an earlier moment. Consecutive windows neither overlap nor
    have gaps.
    """
    text = value if isinstance(value, str) else ""
    if not any(form.fullmatch(text) for form in (DAY, DAY_AND_TIME, WITH_OFFSET)):
        raise ValidationError(NO_MOMENT)
    try:
        sent = datetime.fromisoformat(text)
        own_zone = sent.tzinfo or time_zone
        first, second = (sent.replace(tzinfo=own_zone, fold=fold).astimezone(UTC) for fold in (0, 1))
        # The answers show it in the time zone of the service, too.
        first.astimezone(time_zone)
    except (ValueError, OverflowError):  # a day that does not exist, a year out of range
        raise ValidationError(NO_MOMENT) from None
    if first <= second:
        return first
    before, after = second, first  # bisected until `after` is the change
    old_offset = before.astimezone(own_zone).utcoffset()
    while after - before > timedelta.resolution:
        middle = before + (after - before) / 2
        if middle.astimezone(own_zone).utcoffset() == old_offset:
            before = middle
        else:
            after = middle
    return after


class OriginIds(fields.Field[tuple[int, ...]]):
    """One id or an array of ids of the origin. Becomes sorted and unique."""

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> tuple[int, ...]:
        sent = value if isinstance(value, list) else [value]
        ids = [integer(item) for item in sent]
        if not sent or None in ids:
            raise ValidationError("Invalid data format for origin_id. Integer expected")
        origins = self.parent.catalogue.origins  # type: ignore[union-attr] # our schema
        known = {origin.id for origin in origins if origin.kind == data["origin"]}
        for item, origin_id in zip(sent, ids, strict=True):
            if origin_id not in known:
                raise InvalidValue("origin_id", item)
        return tuple(sorted({origin_id for origin_id in ids if origin_id is not None}))


class ContactFields(fields.Field[tuple[int, ...]]):
    """Ids of exportable fields in the order sent, each once."""

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> tuple[int, ...]:
        if not isinstance(value, list):
            raise ValidationError("Invalid data format for contact_fields. Array expected")
        if not value:
            raise ValidationError("Invalid number of fields")
        ids = [integer(item) for item in value]
        known = self.parent.catalogue.is_exportable  # type: ignore[union-attr] # our schema
        wrong = [item for item, field_id in zip(value, ids, strict=True) if field_id is None or not known(field_id)]
        if wrong:
            raise ValidationError(f"Invalid contact field id: {', '.join(shown(item) for item in wrong)}")
        return tuple(dict.fromkeys(field_id for field_id in ids if field_id is not None))


class Flag(fields.Field[bool]):
    """1 or 0. `parameter` is its name in the error text if that differs from the name of the field."""

    def __init__(self, *, parameter: str | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.parameter = parameter

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> bool:
        number = integer(value)
        if number not in {0, 1}:
            raise InvalidValue(self.parameter or str(attr), value)
        return bool(number)


class Language(fields.Field[str]):
    """A code of the language table in either case. Becomes lower case."""

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> str:
        if not isinstance(value, str) or value.lower() not in LANGUAGES:
            raise InvalidValue("language", value)
        return value.lower()


class Port(fields.Field[int]):
    """1 to 65535."""

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> int:
        number = integer(value)
        if number is None or not 1 <= number <= 65535:
            raise InvalidValue(f"{self.parent.PARAMETER}.{attr}", value)  # type: ignore[union-attr] # our schema
        return number


class Line(fields.Field[str]):
    """One line of text without control characters, because they would become FTP commands (RFC 959, 5.3)."""

    def __init__(self, *, may_be_empty: bool = False, secret: bool = False, most: int = 1024, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.may_be_empty = may_be_empty
        self.secret = secret
        self.most = most

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> str:
        if (
            isinstance(value, str)
            and len(value) <= self.most
            and (value or self.may_be_empty)
            and not CONTROL_CHARACTER.search(value)
        ):
            return value
        parameter = f"{self.parent.PARAMETER}.{attr}"  # type: ignore[union-attr] # our schema
        raise InvalidValue(parameter, "***" if self.secret else value)


class TemporaryName(Line):
    """A pattern for the name of a file during its upload."""

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> str:
        try:
            return temporary_name(super()._deserialize(value, attr, data, **kwargs))
        except ValueError as wrong:
            parameter = f"{self.parent.PARAMETER}.{attr}"  # type: ignore[union-attr] # our schema
            raise ValidationError(f"Invalid value for {parameter}: {value}: {wrong}") from None


class NotificationUrl(fields.Field[str]):
    """An http or https URL with a host. A host that is a forbidden address is refused, names are not resolved here."""

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> str:
        if isinstance(value, str) and len(value) <= 2048 and " " not in value and not CONTROL_CHARACTER.search(value):
            try:
                parts = urlsplit(value)
                if parts.scheme in {"http", "https"} and parts.hostname and parts.port != 0:
                    port = parts.port or (443 if parts.scheme == "https" else 80)
                    self.parent.guard.check_literal(parts.hostname, port)  # type: ignore[union-attr] # our schema
                    return value
            except (ValueError, HostRefused):  # a port that is not a number, or unbalanced brackets
                pass
        raise InvalidUrl(str(attr), value)


class FtpSettingsSchema(Schema):
    """The object `ftp_settings` of a request: where a file is uploaded."""

    PARAMETER: ClassVar[str] = "ftp_settings"

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
        metadata={"description": "stored encrypted until the file is delivered", "example": "pass"},
    )
    folder = Line(
        load_default=None,
        may_be_empty=True,
        metadata={"description": "created if it does not exist", "example": "path/of/a/folder"},
    )
    tls = Flag(
        parameter="ftp_settings.tls",
        load_default=False,
        metadata=OFF | {"description": "1: explicit TLS, with a certificate that is valid for the host"},
    )
    temporary_name = TemporaryName(
        load_default=None,
        metadata={
            "description": "name during the upload. `%s` is the final name and the attempt, `%s` alone: the final name",
            "example": "%s.tmp",
        },
    )


class NestedObject(fields.Nested):
    """A nested object. Refused with our text if it is not an object. A `secret` one is not shown then."""

    def __init__(self, *args: Any, secret: bool = False, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.secret = secret

    def _deserialize(self, value: Any, attr: str | None, *args: Any, **kwargs: Any) -> Any:
        if not isinstance(value, dict):
            raise InvalidValue(str(attr), "***" if self.secret else value)
        return super()._deserialize(value, attr, *args, **kwargs)

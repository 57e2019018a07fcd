"""marshmallow fields for the parameters of getchanges; their messages are the reply texts (specification, Errors)."""

import json
import re
import unicodedata
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Any, TypeVar
from urllib.parse import urlsplit

from marshmallow import ValidationError, fields

from contactexport.hidden_url import hidden
from contactexport.languages import LANGUAGES
from contactexport.setting_values import temporary_name

DAY = re.compile(r"\d{4}-\d{2}-\d{2}", re.ASCII)
# Not 24:00, which only newer versions of Python can read.
DAY_AND_TIME = re.compile(r"\d{4}-\d{2}-\d{2} (?!24)\d{2}:\d{2}(:\d{2})?", re.ASCII)
WITH_OFFSET = re.compile(
    r"\d{4}-\d{2}-\d{2}[T ](?!24)\d{2}:\d{2}(:\d{2}(\.\d{1,6})?)?(Z|[+-]\d{2}(:?\d{2})?)", re.ASCII
)
MOST_DIGITS = 18  # more than any id has, fewer than make trouble

Value = TypeVar("Value")


def shown(value: Any) -> str:
    """A value as an error text shows it: a string as it is, anything else as JSON (contract, Request)."""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def integer(value: Any) -> int | None:
    """A JSON integer or a string of decimal digits; None for anything else (contract, Request)."""
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    if isinstance(value, str) and value.isascii() and value.isdigit():
        return int(value) if len(value) <= MOST_DIGITS else 10**MOST_DIGITS
    return None


class InvalidValue(ValidationError):
    """`Invalid value for [parameter]: [value]`."""

    def __init__(self, parameter: str, value: Any) -> None:
        super().__init__(f"Invalid value for {parameter}: {shown(value)}")


class InvalidUrl(ValidationError):
    """The same, without what may be a password or a token."""

    def __init__(self, parameter: str, value: Any) -> None:
        super().__init__(f"Invalid value for {parameter}: {hidden(shown(value))}")


class Parameter(fields.Field[Value]):
    """A parameter whose `_deserialize` checks all there is to check."""

    def _validate(self, value: Any) -> None:
        """Nothing: marshmallow would put together the list of validators, an empty one, for each value."""


class OneOf(Parameter[str]):
    """A string out of a few; `message` is what is said otherwise, with {value}."""

    def __init__(self, *allowed: str, message: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.allowed = allowed
        self.message = message

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> str:
        if not isinstance(value, str) or value not in self.allowed:
            raise ValidationError(self.message.format(value=shown(value)))
        return value


class TimeRange(Parameter[tuple[datetime, datetime]]):
    """Two dates, the window [start, end) in UTC; a bare one is in the schema's time zone."""

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
    """A date of a time range in UTC; a bare one is in the time zone."""
    text = value if isinstance(value, str) else ""
    try:
        if DAY.fullmatch(text) or DAY_AND_TIME.fullmatch(text):
            return _in_zone(datetime.fromisoformat(text), time_zone)
        if WITH_OFFSET.fullmatch(text):
            return datetime.fromisoformat(text).astimezone(UTC)
    except (ValueError, OverflowError):  # a day that does not exist, a year out of range
        pass
    raise ValidationError("Valid start_date and end_date is required")


def _in_zone(bare: datetime, time_zone: tzinfo) -> datetime:
    """What a bare time means in a clock change: the first of two, or the change itself if that leaves the time out.

    So a later bare time never means an earlier moment, and windows laid end to end by bare times neither overlap nor
    leave anything out.
    """
    first, second = (bare.replace(tzinfo=time_zone, fold=fold).astimezone(UTC) for fold in (0, 1))
    return first if first <= second else _clock_change(second, first, time_zone)


def _clock_change(before: datetime, after: datetime, time_zone: tzinfo) -> datetime:
    old_offset = before.astimezone(time_zone).utcoffset()
    while after - before > timedelta.resolution:
        middle = before + (after - before) / 2
        if middle.astimezone(time_zone).utcoffset() == old_offset:
            before = middle
        else:
            after = middle
    return after


class OriginIds(Parameter[tuple[int, ...]]):
    """One id or an array of them, each of which the origin must have; sorted and unique."""

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> tuple[int, ...]:
        sent = value if isinstance(value, list) else [value]
        ids = [integer(item) for item in sent]
        if not sent or None in ids:
            raise ValidationError("Invalid data format for origin_id. Integer expected")
        for item, origin_id in zip(sent, ids, strict=True):
            if not self.parent.catalogue.has_origin(data["origin"], origin_id):  # type: ignore[union-attr] # our schema
                raise InvalidValue("origin_id", item)
        return tuple(sorted({origin_id for origin_id in ids if origin_id is not None}))


class ContactFields(Parameter[tuple[int, ...]]):
    """Ids of exportable fields, in the order asked for, each once."""

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


class Flag(Parameter[bool]):
    """1 or 0; `parameter` is its name in the error text where that is not the field's own."""

    def __init__(self, *, parameter: str | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.parameter = parameter

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> bool:
        number = integer(value)
        if number not in {0, 1}:
            raise InvalidValue(self.parameter or str(attr), value)
        return bool(number)


class Language(Parameter[str]):
    """A code of the language table, either case; lower case from here on."""

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> str:
        if not isinstance(value, str) or value.lower() not in LANGUAGES:
            raise InvalidValue("language", value)
        return value.lower()


class Port(Parameter[int]):
    """1 to 65535."""

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> int:
        number = integer(value)
        if number is None or not 1 <= number <= 65535:
            raise InvalidValue(f"ftp_settings.{attr}", value)
        return number


class Line(Parameter[str]):
    """Text of one line without control characters: they would become FTP commands of their own (RFC 959, 5.3)."""

    def __init__(self, *, may_be_empty: bool = False, secret: bool = False, most: int = 1024, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.may_be_empty = may_be_empty
        self.secret = secret
        self.most = most

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> str:
        if isinstance(value, str) and len(value) <= self.most and (value or self.may_be_empty) and is_one_line(value):
            return value
        raise InvalidValue(f"ftp_settings.{attr}", "***" if self.secret else value)


class TemporaryName(Line):
    """A pattern for the name of a file until it is complete."""

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> str:
        try:
            return temporary_name(super()._deserialize(value, attr, data, **kwargs))
        except ValueError as wrong:
            raise ValidationError(f"Invalid value for ftp_settings.{attr}: {value}: {wrong}") from None


class NotificationUrl(Parameter[str]):
    """An http or https URL with a host."""

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> str:
        if isinstance(value, str) and len(value) <= 2048 and is_one_line(value) and " " not in value:
            try:
                parts = urlsplit(value)
                if parts.scheme in {"http", "https"} and parts.hostname and parts.port != 0:
                    return value
            except ValueError:  # a port that is no number, brackets that do not match
                pass
        raise InvalidUrl(str(attr), value)


def is_one_line(value: str) -> bool:
    """True when no character is a control character (Unicode category Cc)."""
    return not any(unicodedata.category(character) == "Cc" for character in value)

"""marshmallow fields for the parameters of feeds."""

import re
from datetime import datetime
from typing import Any

from marshmallow import ValidationError, fields

from contactexport.api.request_fields import MAX_DIGITS, InvalidValue, integer, moment, shown

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}", re.ASCII)


class FeedName(fields.Field[str]):
    """A name that needs no escapes in a path."""

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> str:
        if not isinstance(value, str) or not NAME.fullmatch(value):
            raise ValidationError(
                f"Invalid value for name: {shown(value)}: at most 64 letters, digits, -, _ and . expected, "
                "a letter or digit first"
            )
        return value


class Schedule(fields.Field[str]):
    """Five-field cron. What is wrong with it is told when the feed is stored."""

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> str:
        if not isinstance(value, str):
            raise InvalidValue("schedule", value)
        return value


class Moment(fields.Field[datetime]):
    """A date as in a time range."""

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> datetime:
        try:
            return moment(value, self.parent.time_zone)  # type: ignore[union-attr] # our schema
        except ValidationError:
            raise InvalidValue(str(attr), value) from None


class Sequence(fields.Field[int]):
    """The number of a file."""

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> int:
        number = integer(value)
        if number is None or not 1 <= number <= 10**MAX_DIGITS:
            raise InvalidValue(str(attr), value)
        return number

"""The marshmallow schemas of requests for feeds. A feed has the parameters of getchanges, without a time range."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, tzinfo
from typing import Any, cast

from marshmallow import EXCLUDE, Schema, ValidationError, post_load, pre_load

from contactexport.api.feed_fields import FeedName, Moment, Schedule, Sequence
from contactexport.api.request_fields import integer, moment, shown
from contactexport.api.schemas import GetChangesSchema, first_text
from contactexport.errors import InvalidRequest
from contactexport.exports.models import ALL_TIME
from contactexport.feeds.manage import WantedFeed
from contactexport.feeds.models import Feed
from contactexport.feeds.status import asked

# A feed decides these itself.
NOT_OF_FEEDS = ("time_range", "spreadsheet", "may_end_early", "may_be_incomplete")


class AcknowledgeSchema(Schema):
    """The body of POST /api/v2/feed/NAME/acknowledge."""

    class Meta:
        """Unknown keys are ignored (contract, Request)."""

        unknown = EXCLUDE

    sequence = Sequence(required=True, metadata={"description": "`X-Feed-Sequence` of the file", "example": 7})


class FeedSchema(GetChangesSchema):
    """The body of POST /api/v2/feed. The order of the fields is that of the reported errors."""

    class Meta:
        """Unknown keys are ignored (contract, Request)."""

        unknown = EXCLUDE
        exclude = NOT_OF_FEEDS
        include = {  # noqa: RUF012 - marshmallow reads it once
            "from": Moment(
                load_default=None,
                metadata={
                    "description": "where the first window starts. Without it the first file has every contact",
                    "example": "2012-02-09",
                },
            )
        }

    name = FeedName(
        required=True, metadata={"description": "unique in the team, part of the feed's paths", "example": "nightly"}
    )
    schedule = Schedule(
        load_default=None,
        metadata={
            "description": "five-field cron in the time zone of the service. Without it the feed runs only when asked",
            "example": "0 2 * * *",
        },
    )

    @pre_load
    def keep_what_counts(self, data: Mapping[str, Any], **kwargs: Any) -> dict[str, Any]:
        """As for getchanges. Raises ValidationError for the first missing parameter."""
        if data.get("name") is None:
            raise ValidationError("Missing parameter: name")
        if integer(data.get("spreadsheet") or 0) != 0:
            raise ValidationError("Invalid value for spreadsheet: 1: the files of a feed are for programs")
        kept: dict[str, Any] = super().keep_what_counts({**data, "time_range": []}, **kwargs)
        return kept

    @post_load
    def to_settings(self, data: dict[str, Any], **kwargs: Any) -> Any:
        """Returns a WantedFeed."""
        given = {"time_range": ALL_TIME, "spreadsheet": False, "may_end_early": True, "may_be_incomplete": True}
        asked = super().to_settings(data | given, **kwargs)
        settings = replace(asked.settings, may_be_incomplete=False)
        return WantedFeed(data["name"], settings, asked.ftp_password, data["schedule"], data["from"])


def load_feed(schema: FeedSchema, body: Mapping[str, Any]) -> WantedFeed:
    """Returns the valid request. Raises InvalidRequest with the text of the first error."""
    try:
        return cast(WantedFeed, schema.load(body))
    except ValidationError as error:
        raise InvalidRequest(first_text(error.messages, FeedSchema)) from None


def read_start(sent: Any, time_zone: tzinfo) -> datetime:
    """Returns where the next window starts. Raises InvalidRequest."""
    try:
        return moment(sent, time_zone)
    except ValidationError:
        raise InvalidRequest(f"Invalid value for from: {shown(sent)}") from None


def body_of(feed: Feed) -> dict[str, Any]:
    """The body that asks for this feed, with an empty password and without its notification URL. A PATCH changes it."""
    settings = feed.settings
    ftp, sftp, key = settings.ftp, settings.sftp, settings.openpgp_key
    return {
        "name": feed.name,
        "schedule": feed.schedule,
        **asked(settings),
        "ftp_settings": ftp and vars(ftp) | {"password": "", "tls": int(ftp.tls)},
        "sftp_settings": sftp and vars(sftp) | {"password": ""},
        "compression": settings.compression,
        "encryption": key and {"openpgp_key": key},
    }

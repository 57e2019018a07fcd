"""The operations on feeds, for the OpenAPI document."""

from typing import Any

from contactexport.api import feed_reply_schemas, response_schemas
from contactexport.api.feed_schemas import AcknowledgeSchema, FeedSchema
from contactexport.api.openapi.parts import JSON, errors, json_reply, operation, parameter

TAG = "Feeds"
FEED_EXAMPLE = {
    "name": "nightly",
    "schedule": "0 2 * * *",
    "distribution_method": "local",
    "origin": "form",
    "origin_id": "123",
    "contact_fields": ["1", "3", "106533"],
    "removed": 1,
}
SWITCH = {"enum": [1, 0, "1", "0"]}
CHANGES = {
    "type": "object",
    "properties": {
        "paused": SWITCH | {"description": "1 pauses the feed, 0 resumes it and accepts changed columns"},
        "full": SWITCH | {"description": "1: the next run exports every contact"},
        "from": {"type": ["string", "null"], "description": "the next window starts there"},
        "schedule": {"type": ["string", "null"], "description": "five-field cron. null: only when asked"},
    },
    "description": "besides these every parameter of `POST /api/v2/feed` but `name`",
}
NAME = parameter("path", "name", "of the feed", "nightly", pattern="^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$")
TEAM = parameter("query", "team", "for operators: only feeds of this team", "default")
STATUSES = (400, 401, 404, 405, 408, 413, 415, 429, 500, 503)
HEADERS = {
    "X-Feed-Sequence": {
        "description": "the number to acknowledge",
        "schema": {"type": "string", "pattern": "^[0-9]+$"},
    },
    "X-Export-Id": {"description": "of the export that made it", "schema": {"type": "string", "pattern": "^[0-9]+$"}},
    "Link": {"description": "the manifest of the file, as `describedby`", "schema": {"type": "string"}},
}


ADDED = (
    "A standing export. Each run exports what changed since the last delivered file, the first one every contact. "
    "The parameters are those of getchanges without `time_range`. Runs start by the schedule, or when asked."
)
PATCHED = (
    "`ftp_settings` come whole, with their password. With another origin, other fields or another language the "
    "next run exports every contact, because rows of contacts that did not change would be others."
)


def feed_paths(schema: FeedSchema) -> dict[str, dict[str, Any]]:
    """Returns operations by path and method. `schema` is that of a new feed."""
    one, every = feed_reply_schemas.FeedReply, feed_reply_schemas.FeedsReply
    deleted = "Cancels an unfinished run. Exports and files stay."
    started = "4001 while the last run of the feed is unfinished. A paused feed does not run."
    acknowledged = "Then `next` answers the file after it. Files are acknowledged one after the other."
    return {
        "/api/v2/feed": {
            "get": operation("feeds", TAG, "The feeds", "Those of the team.", every, TEAM),
            "post": _posted("add_feed", "Add a feed", ADDED, one, schema, FEED_EXAMPLE),
        },
        "/api/v2/feed/{name}": {
            "get": operation("feed", TAG, "One feed", "Its settings and where it stands.", one, NAME, TEAM),
            "patch": _posted(
                "change_feed", "Change, pause, resume or reset a feed", PATCHED, one, CHANGES, {"paused": 1}
            )
            | {"parameters": [NAME, TEAM]},
            "delete": operation("delete_feed", TAG, "Delete a feed", deleted, feed_reply_schemas.NameReply, NAME, TEAM),
        },
        "/api/v2/feed/{name}/run": {
            "post": operation(
                "run_feed", TAG, "Run a feed now", started, response_schemas.AcceptedExportReply, NAME, TEAM
            )
            | {
                "responses": {"200": json_reply(response_schemas.AcceptedExportReply)}
                | errors(401, 404, 405, 429, 500, 503, s400="InvalidExport")
            }
        },
        "/api/v2/feed/{name}/next": {"get": _next()},
        "/api/v2/feed/{name}/acknowledge": {
            "post": _posted("acknowledge", "Acknowledge a file", acknowledged, one, AcknowledgeSchema, {"sequence": 7})
            | {"parameters": [NAME, TEAM]}
        },
    }


def _posted(operation_id: str, summary: str, text: str, reply: Any, body: Any, example: Any) -> dict[str, Any]:
    not_found = {"s404": "DataNotFound"} if operation_id == "acknowledge" else {}
    return {
        "operationId": operation_id,
        "tags": [TAG],
        "summary": summary,
        "description": text,
        "requestBody": {"required": True, "content": {JSON: {"schema": body, "example": example}}},
        "responses": {"200": json_reply(reply)} | errors(*STATUSES, **not_found),
    }


def _next() -> dict[str, Any]:
    file = {"content": {"text/csv": {"schema": {"type": "string"}}}, "headers": HEADERS}
    return {
        "operationId": "next",
        "tags": [TAG],
        "summary": "Pull the next file of a feed",
        "description": (
            "The oldest file that is not acknowledged, the same bytes until it is. A broken download goes on with "
            "`Range` and `If-Range`. 204: there is no file yet."
        ),
        "parameters": [NAME, TEAM],
        "responses": {
            "200": {"description": "The file", **file},
            "204": {"description": "Every file is acknowledged"},
            "206": {"description": "The requested bytes", **file},
            "304": {"description": "The client has this file already"},
        }
        | errors(400, 401, 405, 410, 412, 416, 429, 500, 503, s404="DataNotFound"),
    }

"""/feed: standing exports. Their files are pulled with `next` and `acknowledge`, or delivered by FTP."""

from functools import partial
from typing import Any

from flask import Blueprint, Response, g, request, url_for
from marshmallow import ValidationError

from contactexport.api import downloads, request_json, responses
from contactexport.api.authentication import current_context
from contactexport.api.feed_schemas import AcknowledgeSchema, FeedSchema, body_of, load_feed, read_start
from contactexport.api.request_fields import integer, shown
from contactexport.errors import DownloadRefused, InvalidRequest
from contactexport.exports import download
from contactexport.feeds import manage, status, store
from contactexport.feeds import run as feed_run
from contactexport.feeds.models import Feed
from contactexport.queue.publisher import RUN_EXPORT

# What keeps its secrets unless a change names one of these parameters.
KEPT_SECRETS = {"target": {"ftp_settings", "sftp_settings"}, "notification_url": {"notification_url"}}

blueprint = Blueprint("feed", __name__, url_prefix="/feed")


@blueprint.get("")
def feeds() -> Response:
    """Answers the feeds of the team, to an operator those of all teams."""
    context = current_context()
    with context.database.autocommit() as conn:
        found = store.visible(conn, g.caller, request.args.get("team"))
    return responses.reply([status.payload(context, feed) for feed in found])


@blueprint.post("")
def add() -> Response:
    """Adds a feed and answers it."""
    context = current_context()
    wanted = load_feed(_schema(), request_json.load_object(request))
    return responses.reply(status.payload(context, manage.add(context, wanted, g.caller)))


@blueprint.get("/<name>")
def feed(name: str) -> Response:
    """Answers one feed."""
    return responses.reply(status.payload(current_context(), _named(name)))


@blueprint.patch("/<name>")
def change(name: str) -> Response:
    """Changes what is sent, then resets, pauses or resumes the feed if that is sent. Answers it as it is then.

    Parameters of getchanges replace those that the feed has. `ftp_settings` come whole, with their password.
    """
    context, caller, body = current_context(), g.caller, request_json.load_object(request)
    found = _named(name)
    if body.get("name") not in (None, name):
        raise InvalidRequest(f"Invalid value for name: {shown(body['name'])}: a feed keeps its name")
    paused, full = (_switch(body, key) for key in ("paused", "full"))
    start = body.get("from")
    if full and start is not None:
        raise InvalidRequest(f"Invalid value for from: {shown(start)}: full: 1 excludes it")
    begin = None if start is None else read_start(start, context.settings.time_zone)
    manage.require_start(context, found.settings, begin)
    if set(body) - {"name", "paused", "full", "from"}:
        kept = [kind for kind, parameters in KEPT_SECRETS.items() if parameters.isdisjoint(body)]
        wanted = load_feed(_schema(), body_of(found) | body | {"name": name, "from": None})
        found = manage.change(context, found, wanted, caller, same=kept)
    if full or begin is not None:
        found = manage.reset(context, found, begin, caller)
    if paused is not None:
        found = (manage.pause if paused else manage.resume)(context, found, caller)
    return responses.reply(status.payload(context, found))


@blueprint.delete("/<name>")
def delete(name: str) -> Response:
    """Deletes the feed and cancels its unfinished run. Its exports stay. Answers the name."""
    manage.delete(current_context(), _named(name), g.caller)
    return responses.reply({"name": name})


@blueprint.post("/<name>/run")
def run(name: str) -> Response:
    """Starts a run now and answers the id of its export. 4001 while the last run is unfinished."""
    context = current_context()
    export_id = feed_run.start(context, _named(name).id)
    context.queue.publish(RUN_EXPORT)
    g.export_id = export_id  # for the audit log
    return responses.reply({"id": export_id})


@blueprint.get("/<name>/next")
def next_file(name: str) -> Response:
    """Answers the oldest file that is not acknowledged: the same bytes until it is. 204 if there is none.

    `X-Feed-Sequence` is its number. Ranges and ETag are as for the file of any export.
    """
    context, found = current_context(), _pulled(name)
    sequence = found.acknowledged + 1
    with context.database.transaction() as conn:
        store.note_pulled(conn, found)
        export_id = store.delivered_export(conn, found, sequence)
    if export_id is None:
        g.reply_code = 0  # for the audit log
        return Response(status=204)
    g.export_id = export_id  # for the audit log
    response = downloads.counted(partial(downloads.whole, export_id))
    manifest = f"{url_for('.feeds').rpartition('/')[0]}/export/{export_id}/manifest"
    response.headers["Link"] = f'<{manifest}>; rel="describedby"'
    response.headers["X-Feed-Sequence"] = str(sequence)
    response.headers["X-Export-Id"] = str(export_id)
    return response


@blueprint.post("/<name>/acknowledge")
def acknowledge(name: str) -> Response:
    """Notes that the file with this number has arrived. Answers the feed."""
    context, found = current_context(), _pulled(name)
    body = request_json.load_object(request)
    if body.get("sequence") is None:
        raise InvalidRequest("Missing parameter: sequence")
    try:
        sequence = AcknowledgeSchema().load(body)["sequence"]
    except ValidationError:
        raise InvalidRequest(f"Invalid value for sequence: {shown(body['sequence'])}") from None
    return responses.reply(status.payload(context, manage.acknowledge(context, found, sequence, g.caller)))


def _named(name: str) -> Feed:
    with current_context().database.autocommit() as conn:
        return store.get_visible(conn, name, g.caller, request.args.get("team"))


def _pulled(name: str) -> Feed:
    """Raises DownloadRefused for a feed whose files go elsewhere."""
    found = _named(name)
    if found.settings.remote is not None:
        raise DownloadRefused(*download.NOT_LOCAL)
    return found


def _switch(body: dict[str, Any], key: str) -> bool | None:
    value = body.get(key)
    if value is None:
        return None
    if integer(value) not in {0, 1}:
        raise InvalidRequest(f"Invalid value for {key}: {shown(value)}")
    return bool(integer(value))


def _schema() -> FeedSchema:
    context = current_context()
    return FeedSchema(
        context.catalogue.current(),
        context.settings.time_zone,
        context.settings.language,
        context.guard,
        rules=g.caller.rules,
        ftp_tls_required=context.settings.ftp_tls_required,
        sftp_unknown_hosts=context.settings.sftp_unknown_hosts,
    )

"""The page: one export, its file, and what can be done with it."""

import csv
import io
import json
from itertools import islice
from typing import Any

from flask import Response, flash, g, redirect, render_template, request, url_for
from werkzeug.wrappers import Response as AnyResponse
from werkzeug.wsgi import wrap_file

from contactexport.api.retry_fields import load_typed
from contactexport.console import progress, store, timeline
from contactexport.console.blueprint import console, current_context, current_viewer
from contactexport.console.errors import Forbidden
from contactexport.console.guard import note_action
from contactexport.errors import ContactExportError, DatabaseUnavailable, DownloadRefused
from contactexport.exports import cancel as cancel_service
from contactexport.exports import download
from contactexport.exports import retry as retry_service
from contactexport.exports import store as export_store
from contactexport.exports.models import Export
from contactexport.feeds.status import asked
from contactexport.moments import in_zone
from contactexport.secrets.hidden_url import hidden

PREVIEW_LINES = 20
# Bytes of a preview, so that a page stays small. Fewer than the characters of csv.field_size_limit.
LONGEST_PREVIEW = 100_000


@console.get("/exports/<int:export_id>")
def export(export_id: int) -> str | tuple[str, int]:
    """Answers the page, or with `part=live` what changes while the export runs, and 204 if that is still the same."""
    context, viewer = current_context(), current_viewer()
    with context.database.autocommit() as conn:
        shown = _visible(conn, export_id)
        running = store.progress(conn, export_id)
        history = store.history(conn, export_id)
    is_part = request.args.get("part") == "live"
    version = progress.version_of(shown, running, history)
    if is_part and request.args.get("seen") == version:
        return "", 204
    return render_template(
        "console/_export.html" if is_part else "console/export.html",
        export=shown,
        moments=timeline.of_export(shown, history),
        running=progress.of_export(running),
        may_act=viewer.may_act_on(shown),
        lacks_url=shown.feed_id is None and retry_service.lacks_url(shown),
        request_json=json.dumps(request_of(shown), indent=2, ensure_ascii=False),
        preview=preview(shown) if shown.status.finished else None,
        live_url=url_for("console.export", export_id=export_id, part="live", seen=version),
    )


@console.get("/exports/<int:export_id>/file")
def export_file(export_id: int) -> AnyResponse:
    """Answers the whole file to who is signed in and may see the export. Only the session makes the address work."""
    context, viewer = current_context(), current_viewer()
    g.export_id = export_id  # for the audit log
    end = context.downloads.begin(viewer.name, context.settings.downloads_per_user)
    try:
        found, file = download.whole(context, export_id, viewer.caller)
        note_action("file downloaded", export=export_id)
    except BaseException:
        end()
        raise
    response = Response(wrap_file(request.environ, file), content_type="text/csv; charset=utf-8")
    response.content_length = found.bytes or 0
    response.headers.set("Content-Disposition", "attachment", filename=found.file_name)
    response.call_on_close(end)
    response.call_on_close(file.close)
    return response


@console.post("/exports/<int:export_id>/cancel")
def export_cancel(export_id: int) -> AnyResponse:
    """Ends an unfinished export. One that has ended since the page was shown keeps its file."""
    _may_act_on(export_id)
    if cancel_service.cancel(current_context(), export_id, current_viewer().caller, keep_finished=True):
        note_action("export cancelled", export=export_id)
        flash("The export is cancelled.", "done")
    else:
        flash("The export had already ended, so nothing was cancelled.", "problem")
    return redirect(url_for("console.export", export_id=export_id), 303)


@console.post("/exports/<int:export_id>/delete-file")
def export_delete_file(export_id: int) -> AnyResponse:
    """Deletes the file of a finished export. One that was retried since the page was shown goes on."""
    if _may_act_on(export_id).status.finished:
        cancel_service.cancel(current_context(), export_id, current_viewer().caller)
        note_action("file deleted", export=export_id)
        flash("The file is deleted.", "done")
    else:
        flash("The export has not ended, so no file was deleted.", "problem")
    return redirect(url_for("console.export", export_id=export_id), 303)


@console.post("/exports/<int:export_id>/retry")
def export_retry(export_id: int) -> AnyResponse:
    """Makes an export in error due again. The form has the password that was wiped."""
    context, caller, found = current_context(), current_viewer().caller, _may_act_on(export_id)
    form = {name: request.form.get(name) or None for name in ("username", "password", "private_key", "passphrase")}
    if retry_service.lacks_url(found):
        form["notification_url"] = request.form.get("notification_url")
    try:
        typed = load_typed(found, form, context.guard)
        retry_service.retry(
            context,
            export_id,
            typed.secret,
            typed.username,
            typed.notification_url,
            most_unfinished=caller.exports_per_user or context.settings.exports_per_user,
        )
    except ContactExportError as refused:
        if refused.http_status >= 500:
            raise
        flash(refused.text, "problem")
    else:
        note_action("export retried", export=export_id)
        flash("The export is due again.", "done")
    return redirect(url_for("console.export", export_id=export_id), 303)


def _visible(conn: Any, export_id: int) -> Export:
    g.export_id = export_id  # for the audit log
    return export_store.get_visible(conn, export_id, current_viewer().caller)


def _may_act_on(export_id: int) -> Export:
    with current_context().database.autocommit() as conn:
        found = _visible(conn, export_id)
    if not current_viewer().may_act_on(found):
        raise Forbidden("This export belongs to another team")
    return found


def request_of(export: Export) -> dict[str, Any]:
    """The request for such an export, as the API takes it, without secrets."""
    settings, zone = export.settings, current_context().settings.time_zone
    shown = asked(settings)
    if settings.type != "full":
        shown["time_range"] = [in_zone(moment, zone).isoformat() for moment in (settings.start, settings.end)]
    method = settings.distribution_method
    if (target := vars(settings).get(method)) is not None:
        sent = {name: int(value) if value in (True, False) else value for name, value in vars(target).items()}
        shown[f"{method}_settings"] = {name: value for name, value in sent.items() if value is not None}
        shown[f"{method}_settings"]["password"] = "…"  # noqa: S105 - the place of one
    if settings.compression is not None:
        shown["compression"] = settings.compression
    if settings.openpgp_key is not None:
        shown["encryption"] = {"openpgp_key": settings.openpgp_key}
    if settings.notification_url is not None:
        shown["notification_url"] = hidden(settings.notification_url)
    return shown


def preview(export: Export) -> list[list[str]] | None:
    """The first lines of the stored file, read as a download reads them. None: there is no file to show as a table."""
    try:
        file, slices = download.part(
            current_context(), export.id, current_viewer().caller, 0, PREVIEW_LINES - int(export.settings.header)
        )
    except (DownloadRefused, ContactExportError) as refused:
        if isinstance(refused, DatabaseUnavailable):
            raise
        return None
    with file:
        content = b""
        for one in slices:
            file.seek(one.start)
            content += file.read(min(one.end - one.start, LONGEST_PREVIEW - len(content)))
    lines = csv.reader(io.StringIO(content.decode("utf-8", "replace")), delimiter=export.settings.delimiter)
    try:
        return list(islice(lines, PREVIEW_LINES))
    except csv.Error:
        return None

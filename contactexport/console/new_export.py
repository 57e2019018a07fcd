"""New export: its form, what is expected of it before it is sent, and the same as curl. Also a new feed."""

import re
from typing import Any

from flask import g, redirect, render_template, request, url_for
from werkzeug.wrappers import Response

from contactexport.console import asked_export, curl, export_form
from contactexport.console.asked_export import Asked
from contactexport.console.blueprint import console, current_context
from contactexport.console.export_form import TARGETS
from contactexport.console.guard import alone, note_action
from contactexport.errors import ContactExportError, ExportAlreadyRunning, InvalidRequest, TooManyRequests
from contactexport.exports import accept, preview, store
from contactexport.feeds import manage
from contactexport.languages import language_names

NAMED = re.compile(r"Invalid value for ([a-z_.]+):")


@console.get("/new-export")
def new_export() -> str:
    """The form. `again` is the id of an export whose settings it begins with."""
    context = current_context()
    values = export_form.new_values(context.settings.language)
    if again := request.args.get("again", type=int):
        with context.database.autocommit() as conn:
            values = export_form.values_of(
                store.get_visible(conn, again, g.caller).settings, context.settings.time_zone
            )
    return page(Asked(values, {}, None, {}))


@console.post("/new-export")
def preview_export() -> tuple[str, int]:
    """The form once more, with what is expected, or with its errors. Nothing is stored."""
    context = current_context()
    asked = asked_export.read(context, g.caller, request.form)
    if asked.settings is None:
        return page(asked), 400
    with alone("A preview"):
        expected = preview.preview(context, asked.settings.settings, g.caller)
    return page(asked, expected=expected, command=command_of(asked)), 200


@console.post("/new-export/send")
def send_export() -> Response | tuple[str, int]:
    """Accepts the export as the API does, and leads to its page."""
    context = current_context()
    asked = asked_export.read(context, g.caller, request.form)
    if asked.settings is None:
        return page(asked), 400
    try:
        export_id = accept.request(context, asked.settings.settings, asked.settings.ftp_password, g.caller, g.started)
    except (ExportAlreadyRunning, TooManyRequests) as refusal:
        return page(asked, refusal=refusal), refusal.http_status
    note_action("export asked for", export=export_id)
    g.export_id = export_id  # for the audit log
    return redirect(url_for("console.export", export_id=export_id), 303)


@console.post("/new-export/feed")
def add_feed() -> Response | tuple[str, int]:
    """Adds a feed with the settings of the form, and leads to its page."""
    context = current_context()
    asked, wanted = asked_export.read_feed(context, g.caller, request.form)
    if wanted is None:
        return page(asked), 400
    try:
        team = request.form.get("team", "").strip() if g.caller.operator else ""
        feed = manage.add(context, wanted, g.caller, team or None)
    except InvalidRequest as refusal:
        named = NAMED.match(refusal.text)
        errors = {named[1] if named else "": refusal.text}
        return page(Asked(asked.values, {}, None, errors, asked.sealed, asked.hidden_url)), 400
    note_action("feed added", feed=feed.name, team=feed.team)
    return redirect(url_for("console.feed", name=feed.name, team=feed.team), 303)


def command_of(asked: Asked) -> str:
    """The request as a curl command, with variables in place of secrets."""
    body = {name: value for name, value in asked.body.items() if value is not None}
    secrets: dict[str, tuple[str, ...]] = {}
    if target := TARGETS.get(body["distribution_method"]):
        for name in target.secrets:
            if body[target.parameter].get(name):
                secrets[f"{body['distribution_method']}_{name}".upper()] = (target.parameter, name)
    if asked.hidden_url is not None:
        secrets["NOTIFICATION_URL"] = ("notification_url",)
    route = "getregistrations" if asked.values.get("kind") == "registrations" else "getchanges"
    return curl.command(f"{request.host_url}api/v2/contact/{route}", body, secrets)


def page(asked: Asked, refusal: ContactExportError | None = None, **more: Any) -> str:
    """The page with the lists that it picks from."""
    context = current_context()
    catalogue, language = context.catalogue.current(), context.settings.language
    fields = [(one.id, one.name_in(language)) for one in catalogue.fields.values() if one.exportable]
    return render_template(
        "console/new_export.html",
        asked=asked,
        values=asked.values,
        errors=asked.errors,
        checked=set(asked.values.getlist("field")),
        fields=fields,
        origins={kind: [one for one in catalogue.origins if one.kind == kind] for kind in ("form", "api")},
        chosen={kind: set(asked.values.getlist(f"{kind}_id")) for kind in ("form", "api")},
        form=export_form,
        languages=dict(sorted(language_names(language).items(), key=lambda one: one[1])),
        zone=context.settings.time_zone,
        refusal=refusal,
        **more,
    )

"""What a posted form asks for: checked by the schemas of the API, with the errors beside their inputs."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from contactexport.api.feed_schemas import FeedSchema
from contactexport.api.form_errors import load_with_errors
from contactexport.api.schemas import GetChanges, GetChangesSchema
from contactexport.console import export_form, sealed
from contactexport.console.export_form import CUSTOM, SINCE_LAST, TARGETS, Form
from contactexport.context import Context
from contactexport.exports import preview
from contactexport.feeds.manage import WantedFeed
from contactexport.secrets.hidden_url import has_secrets, hidden
from contactexport.users.models import Caller

NO_LAST = "None of the newest exports has the same setting: choose another window"
NOTIFICATION = ("notification_url",)
# An hour from now is in no log, so that this window is refused by nothing but other parameters.
ANY_WINDOW = ("2999-01-01", "2999-01-02")


@dataclass(frozen=True)
class Asked:
    """A form as it was posted. `values` are what it shows again, without secrets. `body` has them.

    `settings` is None when there are errors. `errors` are by parameter. `sealed` are hidden inputs of the next form.
    """

    values: Form
    body: Mapping[str, Any]
    settings: GetChanges | None
    errors: Mapping[str, str]
    sealed: Mapping[str, str] = field(default_factory=dict)
    hidden_url: str | None = None


def schema_of(context: Context, caller: Caller, kind: str) -> GetChangesSchema:
    """The schema that the API uses for requests of this caller. `kind` is `changes`, `registrations` or `feed`."""
    settings = context.settings
    common = (context.catalogue.current(), settings.time_zone, settings.language, context.guard)
    rules, tls, unknown_hosts = caller.rules, settings.ftp_tls_required, settings.sftp_unknown_hosts
    if kind == "feed":
        return FeedSchema(*common, rules=rules, ftp_tls_required=tls, sftp_unknown_hosts=unknown_hosts)
    export_type = kind if kind in export_form.KINDS else "changes"
    return GetChangesSchema(*common, export_type, rules=rules, ftp_tls_required=tls, sftp_unknown_hosts=unknown_hosts)


def read(context: Context, caller: Caller, form: Form) -> Asked:
    """What the form asks for now. The window of a preset becomes that of its two dates."""
    values: Form = form.copy()
    schema = schema_of(context, caller, form.get("kind", ""))
    zone, preset = context.settings.time_zone, form.get("window", CUSTOM)
    now = export_form.now()
    window = export_form.window_of(preset, now, zone) or (form.get("start", "").strip(), form.get("end", "").strip())
    secrets, errors, hidden_inputs = secrets_of(context, caller, form)
    if preset == SINCE_LAST:
        loaded, _ = load_with_errors(schema, with_secrets(export_form.body_of(form, ANY_WINDOW), secrets))
        last = preview.last_end(context, loaded.settings, caller.team) if loaded else None
        window = (export_form.shown_moment(last, zone), export_form.shown_moment(now, zone)) if last else ANY_WINDOW
        if loaded and last is None:
            errors["window"] = NO_LAST
    body = with_secrets(export_form.body_of(form, window), secrets)
    loaded, found = load_with_errors(schema, body)
    errors = found | errors
    if window != ANY_WINDOW:
        values["window"], (values["start"], values["end"]) = CUSTOM, window
    url = secrets.get("notification_url", "")
    return Asked(
        without_secrets(values),
        body,
        None if errors else loaded,
        errors,
        hidden_inputs,
        hidden(url) if has_secrets(url) else None,
    )


def read_feed(context: Context, caller: Caller, form: Form) -> tuple[Asked, WantedFeed | None]:
    """The form as a feed: with its name and schedule, and without a window but for where the first one starts."""
    secrets, errors, hidden_inputs = secrets_of(context, caller, form)
    body = with_secrets(export_form.body_of(form, ()), secrets)
    body |= {name: form.get(name, "").strip() or None for name in ("schedule", "from")}
    body["name"] = form.get("name", "").strip()
    loaded, found = load_with_errors(schema_of(context, caller, "feed"), body)
    errors = found | errors
    values = without_secrets(form.copy())
    url = secrets.get("notification_url", "")
    shown_url = hidden(url) if has_secrets(url) else None
    return Asked(values, body, None, errors, hidden_inputs, shown_url), None if errors else loaded


def secrets_of(context: Context, caller: Caller, form: Form) -> tuple[dict[str, str], dict[str, str], dict[str, str]]:
    """The typed or sealed secrets by parameter, what is missing, and the hidden inputs that keep them."""
    found: dict[str, str] = {}
    errors: dict[str, str] = {}
    inputs: dict[str, str] = {}
    if target := TARGETS.get(form.get("distribution_method", "")):
        place = [form.get(f"{target.parameter}.{name}", "").strip() for name in target.bound]
        kept = sealed.unseal(context.secrets, caller.name, place, form.get("sealed", ""))
        names = [f"{target.parameter}.{name}" for name in target.secrets]
        found = {name: value for name in names if (value := form.get(name) or kept.get(name))}
        if not found:
            errors[names[0]] = f"Missing parameter: {names[0]}"
        else:
            inputs["sealed"] = sealed.seal(context.secrets, caller.name, place, found)
    url = form.get("notification_url", "").strip()
    if not url and "no_notification" not in form and form.get("sealed_url"):
        url = sealed.unseal(context.secrets, caller.name, NOTIFICATION, form["sealed_url"]).get("url", "")
        if not url:
            errors["notification_url"] = "Type the URL again: it was kept for an hour only"
    if url:
        found["notification_url"] = url
    if has_secrets(url):
        inputs["sealed_url"] = sealed.seal(context.secrets, caller.name, NOTIFICATION, {"url": url})
    return found, errors, inputs


def with_secrets(body: Mapping[str, Any], secrets: Mapping[str, str]) -> dict[str, Any]:
    """The body with secrets by parameter, such as `ftp_settings.password`."""
    filled = {**body, "notification_url": secrets.get("notification_url")}
    if target := TARGETS.get(body["distribution_method"]):
        names = {name: f"{target.parameter}.{name}" for name in target.secrets}
        given = {name: secrets[full] for name, full in names.items() if full in secrets} or {target.secrets[0]: ""}
        filled[target.parameter] = body[target.parameter] | given
    return filled


def without_secrets(values: Form) -> Form:
    """What the form may show again."""
    for target in TARGETS.values():
        for name in target.secrets:
            values.pop(f"{target.parameter}.{name}", None)
    if has_secrets(values.get("notification_url", "")):
        values.pop("notification_url")
    return values

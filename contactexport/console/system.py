"""System: what the doctor finds, the queue and who works on it, versions, and settings without secrets."""

import os
import platform
from importlib.metadata import version

from flask import current_app, render_template

from contactexport import workers
from contactexport.console.blueprint import console, current_context, current_viewer
from contactexport.console.errors import Forbidden
from contactexport.console.system_parts import Examination, shown_settings
from contactexport.db import version_record
from contactexport.db.queries import queries

EXAMINATION = "contactexport examination"


@console.get("/system")
def system() -> str:
    """The page. It does not wait for the doctor: a part of it shows his lines when he is ready."""
    require_overview()
    context = current_context()
    with context.database.transaction() as conn:
        server = queries("doctor").server(conn)
        queue = queries("console_system").queue(conn)
        alive = workers.alive(conn)
        held = list(queries("console_system").held_exports(conn))
        applied = list(queries("console_system").versions(conn))
    return render_template(
        "console/system.html",
        **examined(),
        queue=queue,
        workers=alive,
        held=held,
        applied=applied,
        newest=version_record.newest(),
        versions={
            "contactexport": version("contactexport"),
            "Python": platform.python_version(),
            "Postgres": server["version"],
            "system": f"{platform.system()} {platform.release()}, {platform.machine()}",
            "host": platform.node(),
        },
        settings=shown_settings(context.settings, current_app.config, os.environ),
    )


@console.get("/system/doctor")
def doctor_lines() -> str:
    """The doctor's lines alone, for the part of the page that reloads itself while he looks."""
    require_overview()
    return render_template("console/doctor_lines.html", **examined())


def examined() -> dict[str, object]:
    """The doctor's last look, which this process keeps for some seconds."""
    kept: Examination = current_app.extensions.setdefault(EXAMINATION, Examination())
    lines, age, looking = kept.current(current_context())
    return {"lines": lines, "age": age, "looking": looking}


def require_overview() -> None:
    """Raises Forbidden for a user of a team, who sees only what belongs to it."""
    if not current_viewer().sees_all:
        raise Forbidden("Only operators and viewers see the system")

"""The page: System."""

from flask import render_template

from contactexport.console.blueprint import console


@console.get("/system")
def system() -> str:
    """Answers the page."""
    return render_template("console/system.html")

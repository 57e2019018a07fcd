"""The page: Overview."""

from flask import render_template

from contactexport.console.blueprint import console


@console.get("/")
def overview() -> str:
    """Answers the page."""
    return render_template("console/overview.html")

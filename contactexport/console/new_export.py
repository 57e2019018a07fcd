"""The page: New export."""

from flask import render_template

from contactexport.console.blueprint import console


@console.get("/new-export")
def new_export() -> str:
    """Answers the page."""
    return render_template("console/new_export.html")

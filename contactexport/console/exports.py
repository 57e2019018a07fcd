"""The page: Exports."""

from flask import render_template

from contactexport.console.blueprint import console


@console.get("/exports")
def exports() -> str:
    """Answers the page."""
    return render_template("console/exports.html")

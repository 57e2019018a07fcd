"""The page: one export."""

from flask import render_template

from contactexport.console.blueprint import console


@console.get("/exports/<int:export_id>")
def export(export_id: int) -> str:
    """Answers the page."""
    return render_template("console/export.html", export_id=export_id)

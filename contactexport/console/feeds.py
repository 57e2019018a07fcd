"""The page: Feeds."""

from flask import render_template

from contactexport.console.blueprint import console


@console.get("/feeds")
def feeds() -> str:
    """Answers the page."""
    return render_template("console/feeds.html")

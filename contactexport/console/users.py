"""The page: Users."""

from flask import render_template

from contactexport.console.blueprint import console


@console.get("/users")
def users() -> str:
    """Answers the page."""
    return render_template("console/users.html")

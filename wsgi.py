"""The application for gunicorn and for `flask` commands."""

from contactexport import create_app

app = create_app()

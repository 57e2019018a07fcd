"""The HTTP API."""

from flask import Flask


def init_app(app: Flask) -> None:
    """Adds the API to an application."""

"""Backends around the databases of the tests' server."""

import dataclasses
from pathlib import Path

import psycopg2

import contactexport
from contactexport.backend import Backend
from contactexport.settings import PREFIX, load_settings


def make_backend(url: str, data_dir: Path, **settings: object) -> Backend:
    """A backend for a database and a data folder; further settings as the Settings have them."""
    values = load_settings(
        {"SWEEP_INTERVAL": 1, "FTP_TIMEOUT": 5, "ALLOWED_HOSTS": "127.0.0.1", "BROKER_POLLING_INTERVAL": 0.02},
        {f"{PREFIX}DATABASE_URL": url, f"{PREFIX}DATA_DIR": str(data_dir)},
    )
    return contactexport.make_backend(dataclasses.replace(values, **settings))


def database_url(server_url: str, name: str) -> str:
    """The server's URL with another database name."""
    parts = psycopg2.extensions.parse_dsn(server_url) | {"dbname": name}
    host, user = parts.get("host", ""), parts.get("user", "")
    password = f":{parts['password']}" if "password" in parts else ""
    port = f"&port={parts['port']}" if "port" in parts else ""
    return f"postgresql://{user}{password}@/{name}?host={host}{port}"

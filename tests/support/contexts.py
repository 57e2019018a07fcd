"""Contexts with databases of the tests' server."""

import dataclasses
from pathlib import Path

import psycopg2

import contactexport
from contactexport.context import Context
from contactexport.settings import PREFIX, load_settings


def make_context(url: str, data_dir: Path, **settings: object) -> Context:
    """A context for a database and a data folder. Further settings have the names of the fields of Settings."""
    values = load_settings(
        {"SWEEP_INTERVAL": 1, "FTP_TIMEOUT": 5, "ALLOWED_HOSTS": "127.0.0.1", "BROKER_POLLING_INTERVAL": 0.02},
        {f"{PREFIX}DATABASE_URL": url, f"{PREFIX}DATA_DIR": str(data_dir)},
    )
    return contactexport.make_context(dataclasses.replace(values, **settings))


def database_url(server_url: str, name: str) -> str:
    """The URL of the server with another database name."""
    parts = psycopg2.extensions.parse_dsn(server_url) | {"dbname": name}
    host, user = parts.get("host", ""), parts.get("user", "")
    password = f":{parts['password']}" if "password" in parts else ""
    port = f"&port={parts['port']}" if "port" in parts else ""
    return f"postgresql://{user}{password}@/{name}?host={host}{port}"

"""A DuckDB connection with its Postgres extension, and the database attached as `crm`.

The extension comes from the package duckdb-extension-postgres-scanner if it is installed, else over the network.
"""

import importlib.util
from pathlib import Path

import duckdb


def attached(url: str) -> duckdb.DuckDBPyConnection:
    """Raises duckdb.Error if the extension is not available."""
    connection = duckdb.connect()
    package = importlib.util.find_spec("duckdb_extension_postgres_scanner")
    if package and package.origin:
        connection.load_extension(str(_extension(Path(package.origin).parent)))
    else:
        connection.execute("INSTALL postgres")
        connection.execute("LOAD postgres")
    connection.execute(f"ATTACH '{url}' AS crm (TYPE postgres, READ_ONLY)")
    return connection


def _extension(package: Path) -> Path:
    return package / "extensions" / f"v{duckdb.__version__}" / "postgres_scanner.duckdb_extension"

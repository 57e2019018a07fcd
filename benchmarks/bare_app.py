"""The minimum that a Flask route with Postgres can do: one INSERT and its commit, or one SELECT.

No authentication, no validation, no queue. The connections are in psycopg2's own pool, used as in its documentation.
"""

import os
from typing import Any

from flask import Flask, Response, jsonify, request
from psycopg2.extras import Json, RealDictCursor
from psycopg2.pool import ThreadedConnectionPool

INSERT = "INSERT INTO bare_request (body) VALUES (%s) RETURNING id"
SELECT = "SELECT id, created_at, status, file_name, rows, rows_expected, bytes, sha256, error FROM export WHERE id = %s"

app = Flask(__name__)
pool = ThreadedConnectionPool(24, 24, os.environ.get("CONTACTEXPORT_DATABASE_URL"), cursor_factory=RealDictCursor)


@app.get("/healthz")
def health() -> Response:
    """Answers that the server runs."""
    return jsonify(ok=True)


@app.post("/insert")
def insert() -> Response:
    """Stores the body of the request."""
    return jsonify(id=_row(INSERT, Json(request.get_json()))["id"])


@app.get("/select/<int:number>")
def select(number: int) -> Response:
    """Shows the row of an export."""
    return jsonify(_row(SELECT, number))


def _row(statement: str, parameter: Any) -> dict[str, Any]:
    connection = pool.getconn()
    try:
        with connection, connection.cursor() as cursor:
            cursor.execute(statement, [parameter])
            return dict(cursor.fetchone())
    finally:
        pool.putconn(connection)

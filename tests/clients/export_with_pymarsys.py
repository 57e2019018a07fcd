"""Exports the contacts of a form with pymarsys, and prints fields, choices and addresses as JSON."""

import asyncio
import json
import os
import sys
import time

import requests
from pymarsys import AsyncConnection, Emarsys, SyncConnection

URI = os.environ["EMARSYS_BASE_URL"].removesuffix("api/v2")
CREDENTIALS = os.environ["EMARSYS_USERNAME"], os.environ["EMARSYS_SECRET"]


def main() -> None:
    connection = SyncConnection(*CREDENTIALS, uri=URI)
    fields = Emarsys(connection).contact_fields
    export_id = connection.make_call("POST", "api/v2/contact/getchanges", payload=json.loads(sys.argv[1]))["data"]["id"]
    while connection.make_call("GET", f"api/v2/export/{export_id}")["data"]["status"] != "done":
        time.sleep(0.1)
    found = {
        "fields": fields.list()["data"],
        "translated": fields.list("de")["data"],
        "choices": fields.list_choice(5, "de")["data"],
        "asynchronous": asyncio.run(fields_asynchronously())["data"],
        "file": file(connection, export_id),
    }
    print(json.dumps(found))


async def fields_asynchronously() -> dict:
    connection = AsyncConnection(*CREDENTIALS, uri=URI)
    try:
        return await Emarsys(connection).contact_fields.list()
    finally:
        await connection.session.close()


def file(connection: SyncConnection, export_id: int) -> str:
    """Downloads the file by a request with the headers of pymarsys, which itself reads only JSON."""
    answer = requests.get(f"{URI}api/v2/export/{export_id}/data", headers=connection.build_headers(), timeout=30)
    answer.raise_for_status()
    return answer.content.decode()


if __name__ == "__main__":
    main()

"""Exports the contacts of a form page by page with the header of emarsysauthenticator, and prints the addresses."""

import csv
import os
import sys
import time

import emarsysauthenticator
import requests

PAGE = 100


def call(method: str, path: str, body: str | None = None) -> requests.Response:
    headers = emarsysauthenticator.create_xwsse_header(os.environ["EMARSYS_USERNAME"], os.environ["EMARSYS_SECRET"])
    answer = requests.request(
        method, f"{os.environ['EMARSYS_BASE_URL']}/{path}", data=body, headers=headers, timeout=30
    )
    answer.raise_for_status()
    return answer


export_id = call("POST", "contact/getchanges", sys.argv[1]).json()["data"]["id"]
while call("GET", f"export/{export_id}").json()["data"]["status"] != "done":
    time.sleep(0.1)
offset = 0
while rows := list(
    csv.DictReader(call("GET", f"export/{export_id}/data/offset={offset}&limit={PAGE}").text.splitlines())
):
    print(*(row["E-Mail"] for row in rows), sep="\n")
    offset += PAGE

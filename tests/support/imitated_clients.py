"""Small clients that send what clients written for the original send.

Each class is one kind of client that no package registry has. Its docstring describes the habit that may break it.
"""

import csv
import secrets
import time
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

import requests

from tests.support.wsse_header import wsse_header

PAGE = 100  # the request of shop modules


class Client:
    """Signs each call with a new header, as in the original's manual. Its base URL ends with `/api/v2`."""

    def __init__(self, base_url: str, username: str, secret: str) -> None:
        self.base_url = base_url
        self.username = username
        self.secret = secret

    def signature(self) -> str:
        return wsse_header(self.username, self.secret)

    def url(self, path: str) -> str:
        return f"{self.base_url}/{path}"

    def send(self, method: str, path: str, body: dict[str, Any] | None = None) -> requests.Response:
        """The answer, whatever it is. It follows no redirect, because many clients lose the body or the header then."""
        return requests.request(
            method,
            self.url(path),
            json=body,
            headers={"X-WSSE": self.signature(), "Content-Type": "application/json"},
            allow_redirects=False,
            timeout=30,
        )

    def call(self, method: str, path: str, body: dict[str, Any] | None = None) -> Any:
        answer = self.send(method, path, body)
        assert answer.status_code == 200, (path, answer.status_code, answer.text)
        return answer.json()["data"]

    def exported(self, body: dict[str, Any], endpoint: str = "contact/getchanges") -> int:
        """The id of an export once it is done."""
        export_id = self.call("POST", endpoint, body)["id"]
        give_up = time.monotonic() + 60
        while (status := self.call("GET", f"export/{export_id}")["status"]) != "done":
            assert status != "error"
            assert time.monotonic() < give_up
            time.sleep(0.1)
        return export_id

    def page(self, export_id: int, offset: int, limit: int) -> str:
        """The header and at most `limit` rows from `offset` on."""
        answer = self.send("GET", f"export/{export_id}/data/offset={offset}&limit={limit}")
        assert answer.status_code == 200, answer.text
        return answer.content.decode()


class ShopModule(Client):
    """The official modules for Magento take a file page by page.

    They read the first line of each page as the names of the columns, and stop at a page that has only this line.
    """

    def contacts(self, export_id: int) -> list[dict[str, str]]:
        contacts: list[dict[str, str]] = []
        offset = 0
        while rows := list(csv.DictReader(self.page(export_id, offset, PAGE).splitlines())):
            contacts += rows
            offset += PAGE
        return contacts


class HourlyShopModule(ShopModule):
    """Every hour the modules ask for the changes of the last hour, but send only the dates."""

    def time_range(self) -> list[str]:
        now = datetime.now(UTC)
        return [f"{now:%F}", f"{now:%F}"]


class SlashClient(ShopModule):
    """Wrappers in PHP and Python put a slash after every path."""

    def url(self, path: str) -> str:
        path, mark, query = super().url(path).partition("?")
        return f"{path}/{mark}{query}"


class RepeatingClient(ShopModule):
    """Wrappers in Ruby and PHP create nonce and `Created` once, and send the same header with every call."""

    def __init__(self, base_url: str, username: str, secret: str) -> None:
        super().__init__(base_url, username, secret)
        self._signature = wsse_header(username, secret, nonce=secrets.token_hex(16).upper())

    def signature(self) -> str:
        return self._signature


class LocalTimeClient(ShopModule):
    """Wrappers in Python 2 and C# write their local time into `Created`, without an offset."""

    def __init__(self, base_url: str, username: str, secret: str, zone: ZoneInfo) -> None:
        super().__init__(base_url, username, secret)
        self.zone = zone

    def signature(self) -> str:
        return wsse_header(self.username, self.secret, created=f"{datetime.now(self.zone):%FT%T}")


class SingerTap(ShopModule):
    """A Singer tap first asks for the settings, and reads the limit of calls from each answer, refusals included.

    It waits when no calls remain, and crashes if a header is missing.
    """

    def __init__(self, base_url: str, username: str, secret: str) -> None:
        super().__init__(base_url, username, secret)
        self.remaining = 1
        self.settings = self.call("GET", "settings")

    def send(self, method: str, path: str, body: dict[str, Any] | None = None) -> requests.Response:
        answer = super().send(method, path, body)
        assert int(answer.headers["X-RateLimit-Limit"]) > 0
        self.remaining = int(answer.headers["X-RateLimit-Remaining"])
        assert self.remaining >= 0
        assert int(answer.headers["X-RateLimit-Reset"]) > 0
        return answer

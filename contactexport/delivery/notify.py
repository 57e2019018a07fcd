"""Sends one notification: a signed POST to the address its host was resolved to, and not a step further (RFC 9110)."""

import base64
import hashlib
import hmac
import json
import socket
import ssl
import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException, HTTPResponse, RemoteDisconnected
from typing import Any
from urllib.parse import SplitResult, quote, unquote, urlsplit

from contactexport.errors import DeliveryFailed
from contactexport.internet_host import parse_host

CONNECT_SECONDS = 5.0
ANSWER_SECONDS = 10.0
LARGEST_ANSWER = 1 << 16  # bytes of the body that are read and dropped, so that most receivers see an orderly end
# What may stand in a path or query (RFC 3986, 2); the percent sign because much of it is encoded already.
KEPT_SIGNS = "!$%&'()*+,/:;=?@[]~"


@dataclass(frozen=True)
class Receiver:
    """A notification URL taken apart; `host` is an address or a name in lower-case ASCII, `login` user:password."""

    tls: bool
    host: str
    port: int
    target: str
    login: str | None

    @property
    def host_header(self) -> str:
        """The host as RFC 9110, 7.2 wants it: IPv6 in brackets, the port unless it is the scheme's own."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == _default_port(self.tls) else f"{host}:{self.port}"


@dataclass(frozen=True)
class Notification:
    """What is sent; repeats have the same `idempotency_key`. `signing_key` is used as the text it is."""

    payload: Mapping[str, Any]
    idempotency_key: str
    signing_key: str


def receiver(url: str) -> Receiver:
    """Reads a notification URL. Raises DeliveryFailed without the URL in it, which may hold a password."""
    try:
        parts = urlsplit(url)
        tls = {"http": False, "https": True}[parts.scheme]
        target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        return Receiver(
            tls=tls,
            host=str(parse_host(parts.hostname or "")),
            port=parts.port or _default_port(tls),
            target=quote(target, safe=KEPT_SIGNS),
            login=_login(parts),
        )
    except (KeyError, ValueError):
        raise DeliveryFailed("The notification URL cannot be read", permanent=True) from None


def signature(key: str, timestamp: int, body: bytes) -> str:
    """The value of X-Contactexport-Signature: HMAC-SHA256 (RFC 2104) of Unix seconds, a full stop and the body."""
    return "sha256=" + hmac.new(key.encode(), f"{timestamp}.".encode() + body, hashlib.sha256).hexdigest()


def send(
    notification: Notification,
    to: Receiver,
    address: str,
    *,
    connect_seconds: float = CONNECT_SECONDS,
    answer_seconds: float = ANSWER_SECONDS,
) -> None:
    """Sends to a numeric address; returns when the receiver has answered 2xx.

    The answer must be there after `answer_seconds`, however slowly it drips. No redirect is followed, no proxy asked.
    Raises DeliveryFailed in one line that shows nothing of the URL, and of the answer its status code only.
    """
    try:
        with _connected(to, address, connect_seconds) as connected:
            status = _answer(connected, to, notification, answer_seconds)
    except (OSError, HTTPException) as error:
        raise DeliveryFailed(f"Notification: {_reason(error)}", permanent=False) from None
    if not 200 <= status < 300:
        raise DeliveryFailed(f"Notification: the host answered {status}", permanent=False)


def _connected(to: Receiver, address: str, seconds: float) -> socket.socket:
    plain = socket.create_connection((address, to.port), seconds)
    if not to.tls:
        return plain
    try:
        # The name, not the address, is what the certificate must be for.
        return ssl.create_default_context().wrap_socket(plain, server_hostname=to.host)
    except BaseException:
        plain.close()
        raise


def _answer(connected: socket.socket, to: Receiver, notification: Notification, seconds: float) -> int:
    # A timeout of the socket starts anew with every byte, so a timer ends the whole.
    late = threading.Event()
    timer = threading.Timer(seconds, _cut, (connected, late))
    connected.settimeout(seconds)
    timer.start()
    try:
        with _post(connected, to, notification) as response:
            if late.is_set():  # http.client takes a status line that was cut off for a whole one
                raise TimeoutError
            with suppress(OSError, HTTPException):  # the status has come, and nothing else counts
                response.read(LARGEST_ANSWER)
            return response.status
    except (OSError, HTTPException) as error:
        if late.is_set() or isinstance(error, TimeoutError):
            raise TimeoutError(f"no answer within {seconds:g} seconds") from None
        raise
    finally:
        timer.cancel()


def _cut(connected: socket.socket, late: threading.Event) -> None:
    late.set()
    with suppress(OSError):  # it is closed already
        socket.socket.shutdown(connected, socket.SHUT_RDWR)


def _post(connected: socket.socket, to: Receiver, notification: Notification) -> HTTPResponse:
    body = json.dumps(notification.payload, ensure_ascii=False).encode()
    http = HTTPConnection(to.host, to.port)
    http.sock = connected
    http.request("POST", to.target, body, _headers(to, notification, body))
    return http.getresponse()


def _headers(to: Receiver, notification: Notification, body: bytes) -> dict[str, str]:
    timestamp = int(time.time())
    headers = {
        "Host": to.host_header,
        "User-Agent": "contactexport",
        "Connection": "close",
        "Content-Type": "application/json",
        "Idempotency-Key": notification.idempotency_key,
        "X-Contactexport-Timestamp": str(timestamp),
        "X-Contactexport-Signature": signature(notification.signing_key, timestamp, body),
    }
    if to.login is not None:
        headers["Authorization"] = "Basic " + base64.b64encode(to.login.encode()).decode()
    return headers


def _default_port(tls: bool) -> int:
    return 443 if tls else 80


def _login(parts: SplitResult) -> str | None:
    return None if parts.username is None else f"{unquote(parts.username)}:{unquote(parts.password or '')}"


def _reason(error: Exception) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"the certificate is refused: {error.verify_message}"
    if isinstance(error, RemoteDisconnected):
        return "the connection was closed without an answer"
    if isinstance(error, OSError):
        return error.strerror or str(error)
    return "the answer is not HTTP"

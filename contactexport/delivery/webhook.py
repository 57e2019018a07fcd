"""Sends one notification: a signed POST to the resolved address of its host, without redirects (RFC 9110)."""

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
from typing import Any, Protocol
from urllib.parse import quote, unquote, urlsplit

from contactexport import log_context
from contactexport.context import Context
from contactexport.errors import DeliveryFailed
from contactexport.exports.models import ExportSettings
from contactexport.hosts.parse import parse_host

CONNECT_SECONDS = 5.0
ANSWER_SECONDS = 10.0
LARGEST_ANSWER = 1 << 16  # bytes of the body that are read and dropped, so that most receivers see a proper end
# Characters allowed in a path or query (RFC 3986, 2). The percent sign, because much is already encoded.
KEPT_SIGNS = "!$%&'()*+,/:;=?@[]~"


@dataclass(frozen=True)
class Receiver:
    """A parsed notification URL. `host` is an address or a name in lower-case ASCII, `login` is user:password."""

    tls: bool
    host: str
    port: int
    target: str
    login: str | None

    @property
    def host_header(self) -> str:
        """The Host header (RFC 9110, 7.2): IPv6 in brackets, and the port unless it is the default of the scheme."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == _default_port(self.tls) else f"{host}:{self.port}"


@dataclass(frozen=True)
class Notification:
    """One notification. Retries have the same `idempotency_key`. `signing_key` is used as text, not decoded."""

    payload: Mapping[str, Any]
    idempotency_key: str
    signing_key: str


class Notified(Protocol):
    """An export or a feed: `notify_secret` is its whole URL, encrypted, if the settings have only a part of it."""

    @property
    def settings(self) -> ExportSettings:
        """With the notification URL."""

    @property
    def notify_secret(self) -> bytes | None:
        """None: the URL in the settings is whole."""


def receiver(url: str) -> Receiver:
    """Parses a notification URL. Raises DeliveryFailed, without the URL, because it may contain a password."""
    try:
        parts = urlsplit(url)
        tls = {"http": False, "https": True}[parts.scheme]
        target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        return Receiver(
            tls=tls,
            host=str(parse_host(parts.hostname or "")),
            port=parts.port or _default_port(tls),
            target=quote(target, safe=KEPT_SIGNS),
            login=None if parts.username is None else f"{unquote(parts.username)}:{unquote(parts.password or '')}",
        )
    except (KeyError, ValueError):
        raise DeliveryFailed("The notification URL cannot be read", permanent=True) from None


def signature(key: str, timestamp: int, body: bytes) -> str:
    """Returns X-Contactexport-Signature: HMAC-SHA256 (RFC 2104) of Unix seconds, a full stop and the body."""
    return "sha256=" + hmac.new(key.encode(), f"{timestamp}.".encode() + body, hashlib.sha256).hexdigest()


def notify(context: Context, about: Notified, notification: Notification, answer_seconds: float) -> None:
    """Sends to the URL of an export or a feed. Raises DeliveryFailed, SecretUnreadable, SettingsError."""
    secret = about.notify_secret
    url = about.settings.notification_url if secret is None else context.secrets.decrypt(secret)
    to = receiver(url or "")
    send(notification, to, context.guard.resolve(to.host, to.port), answer_seconds=answer_seconds)


def send(
    notification: Notification,
    to: Receiver,
    address: str,
    *,
    connect_seconds: float = CONNECT_SECONDS,
    answer_seconds: float = ANSWER_SECONDS,
) -> None:
    """Sends to a numeric address. Returns when the receiver has answered 2xx.

    The answer must be complete within `answer_seconds`, however slowly it drips. No redirects, no proxies.
    Raises DeliveryFailed. Its text is one line without the URL, and has only the status code of the answer.
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
        # The certificate must be for the name, not for the address.
        return ssl.create_default_context().wrap_socket(plain, server_hostname=to.host)
    except BaseException:
        plain.close()
        raise


def _answer(connected: socket.socket, to: Receiver, notification: Notification, seconds: float) -> int:
    late = threading.Event()

    def cut() -> None:
        late.set()
        with suppress(OSError):  # already closed
            socket.socket.shutdown(connected, socket.SHUT_RDWR)

    # The timeout of a socket restarts with every byte, so a timer limits the whole.
    timer = threading.Timer(seconds, cut)
    connected.settimeout(seconds)
    timer.start()
    try:
        with _post(connected, to, notification) as response:
            if late.is_set():  # http.client takes a truncated status line for a whole one
                raise TimeoutError
            with suppress(OSError, HTTPException):  # only the status counts, and it is there
                response.read(LARGEST_ANSWER)
            return response.status
    except (OSError, HTTPException) as error:
        if late.is_set() or isinstance(error, TimeoutError):
            raise TimeoutError(f"no answer within {seconds:g} seconds") from None
        raise
    finally:
        timer.cancel()


def _post(connected: socket.socket, to: Receiver, notification: Notification) -> HTTPResponse:
    body = json.dumps(notification.payload, ensure_ascii=False).encode()
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
    if (request_id := log_context.request_id()) is not None:
        headers[log_context.HEADER] = request_id
    if to.login is not None:
        headers["Authorization"] = "Basic " + base64.b64encode(to.login.encode()).decode()
    http = HTTPConnection(to.host, to.port)
    http.sock = connected
    http.request("POST", to.target, body, headers)
    return http.getresponse()


def _default_port(tls: bool) -> int:
    return 443 if tls else 80


def _reason(error: Exception) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"the certificate is refused: {error.verify_message}"
    if isinstance(error, RemoteDisconnected):
        return "the connection was closed without an answer"
    if isinstance(error, OSError):
        return error.strerror or str(error)
    return "the answer is not HTTP"

"""A connection to an FTP host that can be interrupted from another thread (RFC 959; TLS: RFC 4217; IPv6: RFC 2428)."""

import contextlib
import ftplib
import socket
import ssl
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

from contactexport.delivery import ftp_wire
from contactexport.delivery.ftp_errors import CLOSING, HostClosing
from contactexport.delivery.ftp_wire import HostFault, epsv_port, one_line, pasv_address
from contactexport.delivery.host_traits import HostTrait, HostTraits
from contactexport.errors import DeliveryFailed, HostRefused
from contactexport.exports.models import FtpTarget
from contactexport.hosts.parse import parse_host

# Firewalls drop a control connection that is idle during a long upload.
KEEP_ALIVE = {"TCP_KEEPIDLE": 60, "TCP_KEEPINTVL": 15, "TCP_KEEPCNT": 4}
# A host that broke off an upload may say why. It gets this part of the timeout, and at most these seconds.
REASON_PART = 0.25
REASON_SECONDS = 5.0
# The longest known replies are greetings with a legal notice and lists of features: about 100 lines, a few KB.
MAX_LINES = 1000
MAX_BYTES = 65_536
READ_BYTES = 4096
SHOWN_BYTES = 100


def tls_context(ca_file: Path | None) -> ssl.SSLContext:
    """Returns a context that trusts the authorities of this system and those of the PEM file."""
    context = ssl.create_default_context()
    if ca_file is not None:
        context.load_verify_locations(ca_file)
    return context


class FtpConnection(ftplib.FTP_TLS):
    """One control connection, and one data connection at a time. Every method raises one of ftp_errors.FTP_ERRORS.

    Without a context it is plain FTP. ftplib speaks the protocol. The sockets are made here, so that `interrupt` knows
    each of them before anything waits for it. `timeout` in seconds holds for each connect, reply and write.
    `require_open` raises HostRefused for an address and port that must not get data.
    """

    def __init__(
        self,
        context: ssl.SSLContext | None,
        timeout: float,
        traits: HostTraits,
        require_open: Callable[[str, int], object],
    ) -> None:
        super().__init__(context=context, timeout=timeout)
        self._tls = context
        self._seconds = timeout
        self.reply_seconds = timeout  # for the next reply alone
        self._traits = traits
        self._require_open = require_open
        self._unread = b""  # of the next replies
        self._sockets: list[socket.socket] = []
        self._interrupted = threading.Event()

    def open(self, target: FtpTarget, address: str, password: str) -> None:
        """Connects to the numeric address of the target and logs in. The certificate must be for the target's host.

        Logs in with UTF-8, or with Latin-1 if the host refuses that and does not announce UTF-8 (RFC 2640).
        Raises DeliveryFailed if the host offers no TLS.
        """
        self.host = str(parse_host(target.host))
        self.sock = self._control = self._connected_socket(address, target.port, self._seconds)
        self.af = self._control.family
        self._control.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        for name, value in KEEP_ALIVE.items():
            if hasattr(socket, name):  # not every system has all three
                self._control.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)
        self.welcome = self.getresp()
        if self._tls is not None:
            self.auth()
        try:
            self.login(target.username, password, secure=False)
        except ftplib.error_perm:
            if not in_latin_1(target.username + password) or self.announces_utf8():
                raise
            self.encoding = "latin-1"
            self.login(target.username, password, secure=False)
        self.encoding = "utf-8"
        if self._tls is not None:
            self.prot_p()
        self.voidcmd("TYPE I")

    def auth(self) -> str:
        """Switches the control connection to TLS, for good."""
        try:
            reply = self.voidcmd("AUTH TLS")
        except ftplib.error_perm as refusal:
            raise DeliveryFailed(f"FTP host: it offers no TLS: {one_line(str(refusal), '')}", permanent=True) from None
        self.sock = self._control = self._secured(self._control)
        self._unread = b""  # earlier replies were not protected, so they are dropped
        return reply

    def announces_utf8(self) -> bool:
        """Tells whether UTF8 is among the features of the host (RFC 2389)."""
        try:
            return any(line.strip().upper() == "UTF8" for line in self.sendcmd("FEAT").splitlines())
        except ftplib.Error:
            return False

    def send_file(self, data: socket.socket, content: BinaryIO) -> bool:
        """Sends the whole content. `voidresp` then tells the result.

        False if the data connection was cut, or not ended as TLS demands. Then somebody may have cut it.
        """
        try:
            if isinstance(self._control, ssl.SSLSocket):
                # Hosts prove by the session that both connections come from the same client.
                data = self._secured(data, self._control.session)
            ftp_wire.send(data, content, self._seconds)
            received = ftp_wire.wait_until_received(data, self._seconds, self._interrupted)
        except ssl.SSLCertVerificationError:
            raise
        except OSError as broken:
            raise self._reason_for(broken) from broken
        began = time.monotonic()
        ended = not isinstance(data, ssl.SSLSocket) or ftp_wire.end_tls(data, self._seconds)
        data.close()
        # The wait for the end of the data counts as wait for the reply.
        self.reply_seconds = max(self._seconds - (time.monotonic() - began), self._seconds * REASON_PART)
        return ended and received

    def size_of(self, name: str) -> tuple[int | None, str]:
        """Returns the size of a file and "" (RFC 3659), or None and why the host does not report it.

        Raises HostFault if the size is not a number.
        """
        try:
            reply = self.sendcmd(f"SIZE {name}")
        except (ftplib.error_perm, ftplib.error_temp) as refusal:
            return None, str(refusal)
        if reply[:3] != "213":
            return None, "no reply to SIZE that tells it"
        number = reply[3:].strip()
        if not (number.isascii() and number.isdecimal() and len(number) < 20):
            raise HostFault(f"its answer to SIZE cannot be understood: {reply}")
        return int(number), ""

    def interrupt(self) -> None:
        """Ends what another thread is waiting for. That thread gets an error now and at every later call."""
        self._interrupted.set()
        for sock in tuple(self._sockets):
            with contextlib.suppress(OSError):
                # Not the method of SSLSocket: it removes TLS while a thread may be writing.
                socket.socket.shutdown(sock, socket.SHUT_RDWR)

    def close(self) -> None:
        """Closes all sockets without QUIT."""
        super().close()
        for sock in self._sockets:
            sock.close()

    def getmultiline(self) -> str:
        """Returns the next reply, its lines joined by newlines. `getresp` raises an error of ftplib by its code.

        It is read within limits, because it may be endless (RFC 959, 4.2): it must be complete within `reply_seconds`.
        Raises HostFault if it is too long, HostClosing for 421, TimeoutError, EOFError and OSError.
        """
        deadline, self.reply_seconds = time.monotonic() + self.reply_seconds, self._seconds
        lines: list[bytes] = []
        size = 0
        is_last = False
        while not is_last:
            while b"\n" not in self._unread and len(lines) < MAX_LINES and size + len(self._unread) <= MAX_BYTES:
                left = deadline - time.monotonic()
                if left <= 0:
                    raise TimeoutError
                self._control.settimeout(left)
                received = self._control.recv(READ_BYTES)
                if not received:
                    raise EOFError
                self._unread += received
            if b"\n" not in self._unread or len(lines) == MAX_LINES:
                begin = (lines or [self._unread])[0][:SHOWN_BYTES].decode("utf-8", "replace")
                raise HostFault(f"its reply has no end: {begin}")
            line, _, self._unread = self._unread.partition(b"\n")
            lines.append(line.rstrip(b"\r"))
            size += len(lines[-1]) + 1
            is_last = lines[0][3:4] != b"-" or (lines[-1][3:4] != b"-" and lines[-1][:3] == lines[0][:3])
        self._control.settimeout(self._seconds)  # for the next command
        reply = b"\n".join(lines).decode("utf-8", "replace")
        if reply.startswith(CLOSING):
            raise HostClosing(reply)
        return reply

    def _known(self, sock: socket.socket) -> None:
        self._sockets.append(sock)
        if self._interrupted.is_set():
            raise ConnectionAbortedError("interrupted")

    def _connected_socket(self, address: str, port: int, seconds: float) -> socket.socket:
        sock = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_STREAM)
        sock.settimeout(seconds)
        self._known(sock)
        sock.connect((address, port))
        sock.settimeout(self._seconds)
        return sock

    def _secured(self, sock: socket.socket, session: ssl.SSLSession | None = None) -> ssl.SSLSocket:
        secured = self.context.wrap_socket(
            sock, do_handshake_on_connect=False, server_hostname=self.host, session=session
        )
        self._known(secured)
        secured.do_handshake()
        return secured

    def data_connection(self) -> socket.socket:
        """Connects to the address that the host names, if that is allowed, or else to the address of the host."""
        own = str(self._control.getpeername()[0])
        named, port = self._passive(own)
        if named in {own, "0.0.0.0"}:  # noqa: S104 # some hosts do not know their address
            return self._connected_socket(own, port, self._seconds)
        tried, addresses = [], [named, own]
        try:
            self._require_open(named, port)
        except HostRefused:
            tried, addresses = [f"{named} may not be connected to"], [own]
        if HostTrait.OWN_ADDRESS in self._traits.known:
            addresses.sort(key=own.__ne__)
        for address in addresses:
            try:
                connected = self._connected_socket(address, port, self._seconds / len(addresses))
            except OSError as error:
                tried.append(f"{address}: {error.strerror or 'timed out'}")
            else:
                trait = HostTrait.OTHER_ADDRESS if address == named else HostTrait.OWN_ADDRESS
                self._traits.learn(trait, f"PASV names {named}, connected to {address}")
                return connected
        raise HostFault(f"no data connection to port {port}: its answer to PASV names {named}; {'; '.join(tried)}")

    def _passive(self, own: str) -> tuple[str, int]:
        commands = ["EPSV", "PASV"] if self.af == socket.AF_INET6 else ["PASV", "EPSV"]
        if _REFUSED[commands[0]] in self._traits.known:
            commands.reverse()
        first, second = commands
        try:
            reply = self.sendcmd(first)
        except ftplib.error_perm as refusal:
            reply = self.sendcmd(second)
            self._traits.learn(_REFUSED[first], str(refusal))
            first = second
        return pasv_address(reply) if first == "PASV" else (own, epsv_port(reply))

    def _reason_for(self, broken: OSError) -> Exception:
        """Returns the reply of the host about a broken data connection, or else the error itself."""
        for sock in self._sockets:
            if sock is not self.sock:
                sock.close()
        self.reply_seconds = min(self._seconds * REASON_PART, REASON_SECONDS)
        try:
            self.voidresp()
        except (ftplib.Error, HostClosing, HostFault) as reason:
            return reason
        except (OSError, EOFError):
            pass
        return broken


_REFUSED = {"PASV": HostTrait.NO_PASV, "EPSV": HostTrait.NO_EPSV}


def in_latin_1(text: str) -> bool:
    """Tells whether Latin-1 can encode the text, and encodes it differently than UTF-8."""
    return not text.isascii() and all(ord(sign) < 256 for sign in text)

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

from contactexport.delivery import ftp_data
from contactexport.delivery.ftp_errors import CLOSING, HostClosing, HostFault, one_line, reply_code
from contactexport.delivery.ftp_passive import epsv_port, pasv_address
from contactexport.delivery.ftp_replies import Replies
from contactexport.delivery.host_traits import HostTrait, HostTraits
from contactexport.errors import DeliveryFailed, HostRefused

# Firewalls forget a control connection over which nothing is said while a large file is on its way.
KEEP_ALIVE = {"TCP_KEEPIDLE": 60, "TCP_KEEPINTVL": 15, "TCP_KEEPCNT": 4}
# A host that has broken off an upload may say why. It gets this part of the timeout, and so many seconds at most.
REASON_PART = 0.25
REASON_SECONDS = 5.0


def tls_context(ca_file: Path | None) -> ssl.SSLContext:
    """Verifies certificates by this system's authorities and those of the PEM file."""
    context = ssl.create_default_context()
    if ca_file is not None:
        context.load_verify_locations(ca_file)
    return context


class FtpConnection(ftplib.FTP_TLS):
    """One control connection, and a data connection at a time; everything raises one of ftp_errors.FTP_ERRORS.

    Without a context it is plain FTP. ftplib has what is said; the sockets are made here, so that `interrupt` knows
    each of them before anything is waited for. `timeout` in seconds holds for each connect, reply and write.
    `require_open` raises HostRefused for an address and port that data may not be sent to.
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
        self._reply_seconds = timeout
        self._traits = traits
        self._require_open = require_open
        self._replies: Replies | None = None
        self._sockets: list[socket.socket] = []
        self._interrupted = threading.Event()

    def open(self, address: str, port: int, host_name: str) -> None:
        """Connects to the numeric address; `host_name` is what the certificate must be for. Raises DeliveryFailed."""
        self.host = host_name
        self.sock = self._connected_socket(address, port, self._seconds)
        self.af = self.sock.family
        _keep_alive(self.sock)
        self._replies = Replies(self.sock)
        self.welcome = self.getresp()
        if self._tls is not None:
            self.auth()

    def auth(self) -> str:
        """Puts TLS on the control connection; there is no way back to plain text."""
        try:
            reply = self.voidcmd("AUTH TLS")
        except ftplib.error_perm as refusal:
            raise DeliveryFailed(f"FTP host: it offers no TLS: {one_line(str(refusal), '')}", permanent=True) from None
        self.sock = self._secured(self._control)
        self._replies = Replies(self.sock)  # what came before was not protected and counts for nothing
        return reply

    def log_in(self, username: str, password: str) -> None:
        """Logs in with UTF-8, or with Latin-1 where the host refuses that and has not announced UTF-8 (RFC 2640)."""
        try:
            self.login(username, password, secure=False)
        except ftplib.error_perm:
            if not in_latin_1(username + password) or self.announces_utf8():
                raise
            self.encoding = "latin-1"
            self.login(username, password, secure=False)
        self.encoding = "utf-8"
        if self._tls is not None:
            self.prot_p()
        self.voidcmd("TYPE I")

    def announces_utf8(self) -> bool:
        """True when UTF8 is among the host's features (RFC 2389)."""
        try:
            return any(line.strip().upper() == "UTF8" for line in self.sendcmd("FEAT").splitlines())
        except ftplib.Error:
            return False

    def begin_upload(self, name: str) -> socket.socket:
        """The connection for the content of a file that the host takes under this name."""
        data = self._data_connection()
        try:
            reply = self.sendcmd(f"STOR {name}")
            if reply[0] == "2":  # some hosts confirm the command first
                reply = self.getresp()
            if reply[0] != "1":
                raise ftplib.error_reply(reply)
        except ftplib.Error:
            data.close()
            raise
        return data

    def send_file(self, data: socket.socket, content: BinaryIO) -> bool:
        """Sends all of the content up to the last byte; `last_reply` tells what became of it.

        False when the data connection was cut, or not ended as TLS demands: then somebody may have cut it.
        """
        try:
            if isinstance(self.sock, ssl.SSLSocket):
                # Hosts prove by the session that both connections come from the same client.
                data = self._secured(data, self.sock.session)
            ftp_data.send(data, content, self._seconds)
            received = ftp_data.wait_until_received(data, self._seconds, self._interrupted)
        except ssl.SSLCertVerificationError:
            raise
        except OSError as broken:
            raise self._reason_for(broken) from broken
        began = time.monotonic()
        ended = ftp_data.end(data, self._seconds) and received
        # Whoever has waited for the end of the data has waited for the reply, too.
        self._reply_seconds = max(self._seconds - (time.monotonic() - began), self._seconds * REASON_PART)
        return ended

    def last_reply(self) -> str:
        """The host's reply to a whole file."""
        try:
            return self.voidresp()
        finally:
            self._reply_seconds = self._seconds

    def size(self, filename: str) -> int | None:
        """The size of a file (RFC 3659), None for a reply without one. Raises HostFault for one that is no number."""
        reply = self.sendcmd(f"SIZE {filename}")
        if reply[:3] != "213":
            return None
        number = reply[3:].strip()
        if not (number.isascii() and number.isdecimal() and len(number) < 20):
            raise HostFault(f"its answer to SIZE cannot be understood: {reply}")
        return int(number)

    def say_goodbye(self, seconds: float) -> None:
        """Ends the session; waits so long for the host to agree."""
        self._reply_seconds = seconds
        self.quit()

    def interrupt(self) -> None:
        """Ends whatever another thread is waiting for here; it sees an error, and so does everything it does later."""
        self._interrupted.set()
        for sock in tuple(self._sockets):
            with contextlib.suppress(OSError):
                # Not the method of SSLSocket: it takes TLS away from under a thread that is writing.
                socket.socket.shutdown(sock, socket.SHUT_RDWR)

    def close(self) -> None:
        """Closes all sockets, without a word."""
        super().close()
        for sock in self._sockets:
            sock.close()

    def putline(self, line: str) -> None:
        """Sends a command."""
        self._control.settimeout(self._seconds)
        super().putline(line)

    def getmultiline(self) -> str:
        """The next reply as it is."""
        if self._replies is None:
            raise EOFError
        return self._replies.read(self._reply_seconds)

    def getresp(self) -> str:
        """The next reply. Raises ftplib's errors by its first digit, and HostClosing for 421."""
        try:
            return super().getresp()
        except ftplib.error_temp as refusal:
            if reply_code(refusal) == CLOSING:
                raise HostClosing(str(refusal)) from None
            raise

    @property
    def _control(self) -> socket.socket:
        if self.sock is None:
            raise EOFError
        return self.sock

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

    def _data_connection(self) -> socket.socket:
        """To the address that the host names, if that may be connected to, or else to the host's own."""
        own = str(self._control.getpeername()[0])
        named, port = self._passive(own)
        if named in {own, "0.0.0.0"}:  # noqa: S104 # some hosts do not know their address
            return self._connected_socket(own, port, self._seconds)
        tried, addresses = [], [named, own]
        try:
            self._require_open(named, port)
        except HostRefused:
            tried, addresses = [f"{named} may not be connected to"], [own]
        if HostTrait.OWN_ADDRESS in self._traits:
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
        if _REFUSED[commands[0]] in self._traits:
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
        """What the host says about a data connection that broke, or else the error itself."""
        for sock in self._sockets:
            if sock is not self.sock:
                sock.close()
        self._reply_seconds = min(self._seconds * REASON_PART, REASON_SECONDS)
        try:
            self.voidresp()
        except (ftplib.Error, HostClosing, HostFault) as reason:
            return reason
        except (OSError, EOFError):
            pass
        return broken


_REFUSED = {"PASV": HostTrait.NO_PASV, "EPSV": HostTrait.NO_EPSV}


def in_latin_1(text: str) -> bool:
    """True when Latin-1 has all signs and encodes some of them differently than UTF-8."""
    return not text.isascii() and all(ord(sign) < 256 for sign in text)


def _keep_alive(sock: socket.socket) -> None:
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in KEEP_ALIVE.items():
        if hasattr(socket, name):  # not every system has all three
            sock.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)

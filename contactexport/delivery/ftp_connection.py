"""A connection to an FTP host that can be interrupted from another thread (RFC 959; TLS: RFC 4217; IPv6: RFC 2428)."""

import contextlib
import ftplib
import socket
import ssl
import struct
import threading
from pathlib import Path
from typing import BinaryIO, TextIO

from contactexport.delivery.ftp_errors import one_line
from contactexport.errors import DeliveryFailed

BLOCK_BYTES = 1 << 18
# Firewalls forget a control connection over which nothing is said while a large file is on its way.
KEEP_ALIVE = {"TCP_KEEPIDLE": 60, "TCP_KEEPINTVL": 15, "TCP_KEEPCNT": 4}
# The last bytes may still be on their way, or be looked through by the host, when its reply is waited for.
LAST_REPLY_TIMEOUTS = 4
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
    each of them before anything is waited for. `timeout` in seconds holds for each connect, read and write.
    """

    def __init__(self, context: ssl.SSLContext | None, timeout: float) -> None:
        super().__init__(context=context, timeout=timeout)
        self._tls = context
        self._seconds = timeout
        self._sockets: list[socket.socket] = []
        self._interrupted = threading.Event()

    def open(self, address: str, port: int, host_name: str) -> None:
        """Connects to the numeric address; `host_name` is what the certificate must be for. Raises DeliveryFailed."""
        self.host = host_name
        self.sock = self._connected_socket(address, port)
        self.af = self.sock.family
        _keep_alive(self.sock)
        self.file = self._reader(self.sock)
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
        self.file = self._reader(self.sock)
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

    def send_file(self, name: str, content: BinaryIO) -> None:
        """Stores all of the content under the name, up to the last byte; `last_reply` tells what became of it."""
        data = self._connected_socket(*self.makepasv())
        reply = self.sendcmd(f"STOR {name}")
        if reply[0] == "2":  # some hosts confirm the command first
            reply = self.getresp()
        if reply[0] != "1":
            raise ftplib.error_reply(reply)
        try:
            self._send(data, content)
        except ssl.SSLCertVerificationError:
            raise
        except OSError as broken:
            raise self._reason_for(broken) from broken

    def last_reply(self) -> str:
        """The host's reply to a whole file."""
        self._control.settimeout(self._seconds * LAST_REPLY_TIMEOUTS)
        reply = self.voidresp()
        self._control.settimeout(self._seconds)
        return reply

    def makepasv(self) -> tuple[str, int]:
        """Where to send data to: always the address of the control connection, whatever the host says."""
        try:
            return super().makepasv()
        except ftplib.error_perm:
            if self.af != socket.AF_INET:
                raise
            return ftplib.parse229(self.sendcmd("EPSV"), self._control.getpeername())

    def say_goodbye(self, seconds: float) -> None:
        """Ends the session; waits so long for the host to agree."""
        self._control.settimeout(seconds)
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

    @property
    def _control(self) -> socket.socket:
        if self.sock is None:
            raise EOFError
        return self.sock

    def _known(self, sock: socket.socket) -> None:
        self._sockets.append(sock)
        if self._interrupted.is_set():
            raise ConnectionAbortedError("interrupted")

    def _connected_socket(self, address: str, port: int) -> socket.socket:
        sock = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_STREAM)
        sock.settimeout(self._seconds)
        self._known(sock)
        sock.connect((address, port))
        return sock

    def _secured(self, sock: socket.socket, session: ssl.SSLSession | None = None) -> ssl.SSLSocket:
        secured = self.context.wrap_socket(
            sock, do_handshake_on_connect=False, server_hostname=self.host, session=session
        )
        self._known(secured)
        secured.do_handshake()
        return secured

    def _send(self, data: socket.socket, content: BinaryIO) -> None:
        if isinstance(self.sock, ssl.SSLSocket):
            # Hosts prove by the session that both connections come from the same client.
            data = self._secured(data, self.sock.session)
        else:
            _have_kernel_wait(data, self._seconds)
        try:
            while block := content.read(BLOCK_BYTES):
                data.sendall(block)
        except BlockingIOError:
            raise TimeoutError("timed out") from None
        if isinstance(data, ssl.SSLSocket):
            with contextlib.suppress(OSError):  # some hosts close without saying goodbye
                data.unwrap()
        data.close()

    def _reason_for(self, broken: OSError) -> Exception:
        """What the host says about a data connection that broke, or else the error itself."""
        for sock in self._sockets:
            if sock is not self.sock:
                sock.close()
        try:
            self._control.settimeout(min(self._seconds, REASON_SECONDS))
            self.voidresp()
        except ftplib.Error as reason:
            return reason
        except (OSError, EOFError):
            pass
        return broken

    def _reader(self, sock: socket.socket) -> TextIO:
        return sock.makefile("r", encoding="utf-8", errors="replace")


def in_latin_1(text: str) -> bool:
    """True when Latin-1 has all signs and encodes some of them differently than UTF-8."""
    return not text.isascii() and all(ord(sign) < 256 for sign in text)


def _have_kernel_wait(sock: socket.socket, seconds: float) -> None:
    """For a write to get on, so many seconds; then it raises BlockingIOError. Python would ask before each write."""
    whole, rest = divmod(seconds, 1)
    sock.settimeout(None)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, struct.pack("@ll", int(whole), int(rest * 1_000_000)))


def _keep_alive(sock: socket.socket) -> None:
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in KEEP_ALIVE.items():
        if hasattr(socket, name):  # not every system has all three
            sock.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)

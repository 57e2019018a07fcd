"""A connection to an SFTP host that can be interrupted from another thread. paramiko speaks SSH (RFC 4251 to 4254)."""

import contextlib
import io
import logging
import socket
import threading

import paramiko
from paramiko.ssh_exception import BadAuthenticationType, IncompatiblePeer

from contactexport.delivery.ftp_wire import one_line
from contactexport.delivery.sftp_credentials import SftpCredentials, fingerprint, require_quickly_read
from contactexport.delivery.sftp_errors import SFTP_ERRORS, login_refused
from contactexport.delivery.sftp_wire import SftpSession
from contactexport.errors import DeliveryFailed
from contactexport.exports.models import SftpTarget

# Without CBC, SHA-1 and MD5. The first that the host knows counts. GCM is the fastest.
CIPHERS = ("aes128-gcm@openssh.com", "aes256-gcm@openssh.com", "aes128-ctr", "aes256-ctr", "aes192-ctr")
DIGESTS = (
    "hmac-sha2-256-etm@openssh.com",
    "hmac-sha2-512-etm@openssh.com",
    "hmac-sha2-256",
    "hmac-sha2-512",
)
# By kind, because a host has one key of each, and the pinned one may be of any.
HOST_KEYS = {
    "ssh-ed25519": ("ssh-ed25519",),
    "ecdsa-sha2-nistp256": ("ecdsa-sha2-nistp256",),
    "ecdsa-sha2-nistp384": ("ecdsa-sha2-nistp384",),
    "ecdsa-sha2-nistp521": ("ecdsa-sha2-nistp521",),
    "ssh-rsa": ("rsa-sha2-512", "rsa-sha2-256"),
}
# Firewalls drop a connection that is idle while a host stores what it got.
KEEP_ALIVE_SECONDS = 30
WINDOW_BYTES = 1 << 21
# paramiko's words for a connection that has ended.
LOST = "transport shut down or saw EOF"

# It logs every lost connection as an error with a traceback. What matters is in our own errors.
logging.getLogger("paramiko").setLevel(logging.CRITICAL)


class SftpConnection:
    """One session. Every method raises one of sftp_errors.SFTP_ERRORS, or DeliveryFailed.

    `timeout` in seconds holds for each connect, reply and write.
    """

    def __init__(self, timeout: float) -> None:
        self._seconds = timeout
        self._interrupted = threading.Event()
        self._socket: socket.socket | None = None
        self._transport: paramiko.Transport | None = None

    def open(self, target: SftpTarget, address: str, credentials: SftpCredentials) -> SftpSession:
        """Connects to the numeric address of the target, compares the host's key, and logs in.

        Raises DeliveryFailed if the host has another key than the pinned one. It gets no credentials then.
        """
        transport = self._to_known_host(target, address)
        try:
            if credentials.private_key is not None:
                offered, more = "private key", transport.auth_publickey(target.username, read(credentials.private_key))
            else:
                offered, more = "password", transport.auth_password(target.username, credentials.password or "")
        except paramiko.AuthenticationException as refused:
            if "timeout" in str(refused).lower():
                raise TimeoutError from None
            # Nothing was refused: paramiko raises the same when the connection ends meanwhile.
            if not isinstance(refused, BadAuthenticationType) and LOST in str(refused):
                raise ConnectionResetError("connection lost during the login") from None
            offered = "password" if credentials.private_key is None else "private key"
            raise login_refused(refused, offered) from None
        if more:
            told = one_line(", ".join(more), credentials.password or "")
            text = f"SFTP host: it wants more than the {offered}: {told}"
            raise DeliveryFailed(text, permanent=True)
        channel = transport.open_session(window_size=WINDOW_BYTES, timeout=self._seconds)
        channel.settimeout(self._seconds)
        try:
            channel.invoke_subsystem("sftp")
        except paramiko.SSHException:
            if not transport.is_active():
                raise
            raise DeliveryFailed("SFTP host: it offers SSH, but no SFTP", permanent=True) from None
        return SftpSession(channel)

    def interrupt(self) -> None:
        """Ends what another thread is waiting for. That thread gets an error now and at every later call."""
        self._interrupted.set()
        if self._socket is not None:
            with contextlib.suppress(OSError):
                self._socket.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Closes the connection."""
        if self._transport is not None:
            with contextlib.suppress(*SFTP_ERRORS):
                self._transport.close()
        if self._socket is not None:
            self._socket.close()

    def _to_known_host(self, target: SftpTarget, address: str) -> paramiko.Transport:
        """Asks for one kind of key after the other, until the host shows the pinned one."""
        kinds, shown = dict(HOST_KEYS), list[str]()
        while kinds:
            try:
                transport = self._to_host(target, address, [name for names in kinds.values() for name in names])
            except IncompatiblePeer:
                if shown:  # the host has no other key
                    break
                raise
            key = transport.get_remote_server_key()
            found = fingerprint(key.asbytes())
            if target.host_key in (None, found):
                return transport
            self.close()
            shown.append(f"{found} ({key.get_name()})")
            kinds.pop(key.get_name(), None)
        raise DeliveryFailed(
            f"SFTP host: its key is {' or '.join(shown)}, and {target.host_key} is pinned: it was set up anew, or "
            "somebody is in between",
            permanent=True,
        )

    def _to_host(self, target: SftpTarget, address: str, key_types: list[str]) -> paramiko.Transport:
        sock = self._socket = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_STREAM)
        if self._interrupted.is_set():
            raise ConnectionAbortedError("interrupted")
        sock.settimeout(self._seconds)
        sock.connect((address, target.port))
        transport = self._transport = paramiko.Transport(sock)
        transport.auth_timeout = self._seconds
        # Longer than the limit below, whose end is told as what it is.
        transport.banner_timeout = transport.handshake_timeout = 2 * self._seconds
        security = transport.get_security_options()
        security.ciphers, security.digests, security.key_types = CIPHERS, DIGESTS, tuple(key_types)
        transport.start_client(timeout=self._seconds)
        if not transport.initial_kex_done:  # the time is over, which paramiko does not raise
            raise TimeoutError
        transport.set_keepalive(KEEP_ALIVE_SECONDS)
        return transport


def read(private_key: str) -> paramiko.PKey:
    """The key that `read_private_key` has returned."""
    with contextlib.suppress(ValueError):
        require_quickly_read(private_key)
        for kind in (paramiko.Ed25519Key, paramiko.ECDSAKey, paramiko.RSAKey):
            with contextlib.suppress(paramiko.SSHException):
                return kind.from_private_key(io.StringIO(private_key))
    raise DeliveryFailed("The stored private key cannot be read", permanent=True)

"""A real HTTP server that receives notifications and answers as a test wants it."""

import datetime
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email.message import Message
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

Answer = Callable[[BaseHTTPRequestHandler], None]


@dataclass
class Received:
    """One request as it arrived."""

    path: str
    headers: Message
    body: bytes


@dataclass
class Receiver:
    """Where the server listens, what it has received, and its `answers` in order. The last one repeats."""

    port: int
    answers: list[Answer]
    received: list[Received] = field(default_factory=list)
    closing: threading.Event = field(default_factory=threading.Event)

    def url(self, path: str = "/", host: str = "127.0.0.1", scheme: str = "http") -> str:
        return f"{scheme}://{host}:{self.port}{path}"


def status(code: int, **headers: str) -> Answer:
    """Answers with a status code and headers only."""

    def answer(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(code)
        for name, value in headers.items():
            handler.send_header(name, value)
        handler.send_header("Content-Length", "0")
        handler.end_headers()

    return answer


def raw(*parts: bytes, forever: bytes = b"", pause: float = 0) -> Answer:
    """Writes bytes as they are, then repeats others with a pause in seconds, until the other side closes."""

    def answer(handler: BaseHTTPRequestHandler) -> None:
        for part in parts:
            handler.wfile.write(part)
        while forever and not handler.server.receiver.closing.wait(pause):
            handler.wfile.write(forever)

    return answer


def silence(handler: BaseHTTPRequestHandler) -> None:
    """Never answers while the server runs."""
    handler.server.receiver.closing.wait()


def held(until: threading.Event, then: Answer) -> Answer:
    """Waits for the event, then answers."""

    def answer(handler: BaseHTTPRequestHandler) -> None:
        while not until.wait(0.02) and not handler.server.receiver.closing.is_set():
            pass
        then(handler)

    return answer


@contextmanager
def receiver(
    *answers: Answer, address: str = "127.0.0.1", port: int = 0, certificate: Path | None = None
) -> Iterator[Receiver]:
    """A running server. `certificate` is a PEM file with its key."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            made.received.append(Received(self.path, self.headers, body))
            answer = made.answers.pop(0) if len(made.answers) > 1 else made.answers[0]
            try:
                answer(self)
            except OSError:
                self.close_connection = True  # the other side has closed the connection

        def log_message(self, *_args: object) -> None:
            pass

    class Server(ThreadingHTTPServer):
        daemon_threads = False

        def handle_error(self, request: object, client_address: object) -> None:
            pass  # some tests want a failed handshake

    server = Server((address, port), Handler)
    if certificate is not None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate)
        server.socket = context.wrap_socket(server.socket, server_side=True)
    made = server.receiver = Receiver(server.server_address[1], list(answers) or [status(204)])
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield made
    finally:
        made.closing.set()
        server.shutdown()
        thread.join()
        server.server_close()


def make_certificate(file: Path, name: str) -> Path:
    """A self-signed certificate for a name, with its key, as PEM."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    file.write_bytes(pem + certificate.public_bytes(serialization.Encoding.PEM))
    return file


# Ways to fail, and the noted reason if the timeout is 0.3 seconds.
FAILURES: dict[str, tuple[Answer, str]] = {
    "500": (status(500), "the host answered 500"),
    "404": (status(404), "the host answered 404"),
    "304": (status(304), "the host answered 304"),
    "199": (raw(b"HTTP/1.1 199 X\r\n\r\n"), "the host answered 199"),
    "silent": (silence, "no answer within 0.3 seconds"),
    "dripping status": (raw(b"HTTP/1.1 200 ", forever=b"O", pause=0.05), "no answer within 0.3 seconds"),
    "dripping headers": (raw(b"HTTP/1.1 200 OK\r\n", forever=b"A: b\r\n", pause=0.05), "no answer within 0.3 seconds"),
    "continuing": (raw(forever=b"HTTP/1.1 100 Continue\r\n\r\n", pause=0.01), "no answer within 0.3 seconds"),
    "endless headers": (raw(b"HTTP/1.1 200 OK\r\n", forever=b"A: b\r\n"), "the answer is not HTTP"),
    "endless line": (raw(b"HTTP/1.1 200 ", forever=b"O" * 65536), "the answer is not HTTP"),
    "another protocol": (raw(b"220 geheim FTP\r\n"), "the answer is not HTTP"),
    "closing": (raw(), "the connection was closed without an answer"),
}

"""An FTP host of plain sockets, for what no real server library does. It stores files in memory."""

import contextlib
import socket
import ssl
import struct
import threading
from pathlib import Path

TOLD_AT_ONCE = {
    "USER": "331 Password",
    "PASS": "230 Welcome",
    "PBSZ": "200 Fine",
    "PROT": "200 Fine",
    "TYPE": "200 Fine",
    "CWD": "250 Fine",
    "FEAT": "502 None",
    "QUIT": "221 Bye",
}


class RawHost:
    """Serves until the block ends. `pem` makes it a host with TLS."""

    def __init__(self, pem: Path | None = None) -> None:
        self.files: dict[str, bytearray] = {}
        self.told: list[str] = []
        self._tls = None
        if pem is not None:
            self._tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            self._tls.load_cert_chain(pem)
        self._server = socket.create_server(("127.0.0.1", 0))
        self._threads: list[threading.Thread] = []

    @property
    def port(self) -> int:
        return self._server.getsockname()[1]

    def __enter__(self) -> "RawHost":
        self._start(self._accept)
        return self

    def __exit__(self, *_raised: object) -> None:
        self._server.shutdown(socket.SHUT_RDWR)
        self._server.close()
        for thread in self._threads:
            thread.join(30)

    def take(self, name: str, data: socket.socket, control: socket.socket) -> str | None:
        """Receives a file. Returns the reply to it, or None for no reply."""
        self.read_all(name, data)
        self.end_data(data)
        return "226 Complete"

    def size(self, name: str) -> str:
        """The reply to SIZE."""
        return f"213 {len(self.files[name])}" if name in self.files else "550 No such file"

    def read_all(self, name: str, data: socket.socket, most: int | None = None) -> None:
        """Reads to the end, or at most so many bytes."""
        taken = self.files.setdefault(name, bytearray())
        with contextlib.suppress(OSError):
            while (most is None or len(taken) < most) and (block := data.recv(65536)):
                taken += block

    def end_data(self, data: socket.socket) -> None:
        """Ends the connection properly."""
        with contextlib.suppress(OSError):
            if isinstance(data, ssl.SSLSocket):
                data.unwrap()
        data.close()

    def _start(self, task, *arguments) -> None:
        thread = threading.Thread(target=task, args=arguments)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                self._start(self._session, self._server.accept()[0])

    def _session(self, control: socket.socket) -> None:
        with contextlib.suppress(OSError, EOFError):
            self._say(control, "220 Ready")
            while True:
                command, _, name = self._line(control).partition(" ")
                self.told.append(command)
                if command == "AUTH":
                    self._say(control, "234 Go on" if self._tls else "502 No")
                    control = self._tls.wrap_socket(control, server_side=True)
                elif command == "PASV":
                    listening = socket.create_server(("127.0.0.1", 0))
                    port = listening.getsockname()[1]
                    self._say(control, f"227 (127,0,0,1,{port // 256},{port % 256})")
                elif command == "STOR":
                    self._store(control, listening, name)
                else:
                    self._say(control, self._answer(command, name))
        control.close()

    def _answer(self, command: str, name: str) -> str:
        if command in {"RNFR", "DELE"}:
            if name not in self.files:
                return "550 No such file"
            self._named = self.files[name] if command == "RNFR" else None
            del self.files[name]
            return "350 Go on" if command == "RNFR" else "250 Gone"
        if command == "RNTO":
            self.files[name] = self._named
            return "250 Renamed"
        return self.size(name) if command == "SIZE" else TOLD_AT_ONCE.get(command, "502 What?")

    def _store(self, control: socket.socket, listening: socket.socket, name: str) -> None:
        with listening:
            data = listening.accept()[0]
        self.files.pop(name, None)
        self._say(control, "150 Go on")
        if self._tls:
            data = self._tls.wrap_socket(data, server_side=True, suppress_ragged_eofs=False)
        with data:
            reply = self.take(name, data, control)
        if reply is not None:
            self._say(control, reply)

    def _say(self, control: socket.socket, reply: str) -> None:
        control.sendall(f"{reply}\r\n".encode())

    def _line(self, control: socket.socket) -> str:
        line = b""
        while not line.endswith(b"\r\n"):
            if not (received := control.recv(1)):
                raise EOFError
            line += received
        return line.decode().strip()


def cut(sock: socket.socket, *, reset: bool) -> None:
    """Ends a connection without a reply: by a reset, or as if the other side had ended it."""
    with socket.fromfd(sock.fileno(), sock.family, sock.type) as plain:
        if reset:
            plain.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            sock.close()  # TLS would continue with a descriptor that soon belongs to another connection
        else:
            plain.shutdown(socket.SHUT_RDWR)

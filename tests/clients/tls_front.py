"""A proxy on loopback in place of the original's host, so that unchanged clients reach the service.

It accepts CONNECT for that one name, does TLS with its own certificate, and passes everything on to the service.
It refuses any other host, so nothing leaves this machine.
"""

import asyncio
import ssl
from asyncio import StreamReader, StreamWriter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Thread

BLOCK_BYTES = 1 << 16


@contextmanager
def standing_in_for(host: str, certificate: Path, service_port: int) -> Iterator[int]:
    """The port of a proxy that runs until the block ends. `certificate` is a PEM file with its key."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate)

    async def connect(reader: StreamReader, writer: StreamWriter) -> None:
        asked = await reader.readuntil(b"\r\n\r\n")
        if not asked.startswith(f"CONNECT {host}:443 ".encode()):
            writer.write(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n")
            writer.close()
            return
        writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
        await writer.drain()
        await writer.start_tls(context)
        from_service, to_service = await asyncio.open_connection("127.0.0.1", service_port)
        await asyncio.gather(_pass_on(reader, to_service), _pass_on(from_service, writer))

    loop = asyncio.new_event_loop()
    server = loop.run_until_complete(asyncio.start_server(connect, "127.0.0.1", 0))
    thread = Thread(target=loop.run_forever)
    thread.start()
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.run_until_complete(_end(server))
        loop.close()


async def _pass_on(reader: StreamReader, writer: StreamWriter) -> None:
    try:
        while block := await reader.read(BLOCK_BYTES):
            writer.write(block)
            await writer.drain()
    except OSError:  # one side has closed its connection
        pass
    finally:
        writer.close()


async def _end(server: asyncio.Server) -> None:
    server.close()
    others = asyncio.all_tasks() - {asyncio.current_task()}
    for task in others:
        task.cancel()
    await asyncio.gather(*others, return_exceptions=True)

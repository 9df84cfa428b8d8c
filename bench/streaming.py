"""A server that streams answers at a steady pace in vLLM's place, and clients that time them."""

import asyncio
import contextlib
import multiprocessing
import ssl
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass

from tests.endpoint.door import free_port

FIRST_TOKEN_SECONDS, TOKEN_SECONDS, TOKENS = 0.05, 0.02, 25
"""Half a second an answer: the pace of a large model under light load."""

KEY = "the-key-that-vllm-wants"
BODY = b'{"stream": true, "messages": [{"role": "user", "content": "What is the meaning of life?"}]}'
END = b"0\r\n\r\n"
ANSWERS_WITHIN_SECONDS = 30


@dataclass(frozen=True)
class Timed:
    """One answer: seconds until its first token, and whether it came whole."""

    first_token: float
    whole: bool


class Client:
    """Asks again and again on one connection, as the libraries of clients do."""

    def __init__(self, port: int, tls: ssl.SSLContext | None = None) -> None:
        self._port, self._tls = port, tls
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def ask(self, key: str = KEY) -> Timed:
        """Return how one answer came to a request with this key."""
        start = time.perf_counter()
        try:
            async with asyncio.timeout(ANSWERS_WITHIN_SECONDS):
                reader, writer = await self._connection()
                writer.write(_request(key))
                await reader.readuntil(b"data: 0\n\n")
                first = time.perf_counter() - start
                await reader.readuntil(END)
        except (OSError, EOFError, TimeoutError):
            await self.close()
            return Timed(0, whole=False)
        return Timed(first, whole=True)

    async def healthy(self) -> bool:
        """Whether the server answers on this connection, which stays open."""
        try:
            async with asyncio.timeout(ANSWERS_WITHIN_SECONDS):
                reader, writer = await self._connection()
                writer.write(b"GET /health HTTP/1.1\r\nHost: model\r\n\r\n")
                return b" 200 " in await reader.readuntil(b"\r\n\r\n")
        except (OSError, EOFError, TimeoutError):
            return False

    async def close(self) -> None:
        """End the connection."""
        if self._streams:
            self._streams[1].close()
            with contextlib.suppress(OSError):
                await self._streams[1].wait_closed()
        self._streams = None

    async def _connection(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        if not self._streams:
            self._streams = await asyncio.open_connection("127.0.0.1", self._port, ssl=self._tls)
        return self._streams


async def load(
    port: Callable[[], int],
    clients: int,
    until: Callable[[], bool],
    *,
    reconnect: bool,
    tls: ssl.SSLContext | None = None,
    key: Callable[[], str] = lambda: KEY,
) -> list[Timed]:
    """Return the answers that so many clients got at a time, each until `until` says so.

    With `reconnect` each request opens a connection of its own, to the port that is named then. Each has the key that
    is named then.
    """

    async def one() -> list[Timed]:
        client, answers = Client(port(), tls), list[Timed]()
        while not until():
            answers.append(await client.ask(key()))
            if reconnect:
                await client.close()
                client = Client(port(), tls)
        await client.close()
        return answers

    return [answer for answers in await asyncio.gather(*(one() for _ in range(clients))) for answer in answers]


def _request(key: str) -> bytes:
    head = (
        f"POST /v1/chat/completions HTTP/1.1\r\nHost: model\r\nAuthorization: Bearer {key}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(BODY)}\r\n\r\n"
    )
    return head.encode() + BODY


@contextmanager
def running_server() -> Generator[int]:
    """Run the server in a process of its own until the context ends; give its port."""
    port = free_port()
    process = multiprocessing.get_context("spawn").Process(target=_serve, args=(port,), daemon=True)
    process.start()
    try:
        while not asyncio.run(Client(port).healthy()):
            time.sleep(0.05)
        yield port
    finally:
        process.terminate()
        process.join()


def _serve(port: int) -> None:
    asyncio.run(_serving(port))


async def _serving(port: int) -> None:
    server = await asyncio.start_server(_answer, "127.0.0.1", port, backlog=1024)
    async with server:
        await server.serve_forever()


async def _answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError, EOFError):
        while True:
            head = await reader.readuntil(b"\r\n\r\n")
            if head.startswith(b"GET"):
                writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
                continue
            await reader.readexactly(len(BODY))
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n")
            for token in range(TOKENS):
                await asyncio.sleep(TOKEN_SECONDS if token else FIRST_TOKEN_SECONDS)
                event = f"data: {token}\n\n".encode()
                writer.write(f"{len(event):x}\r\n".encode() + event + b"\r\n")
            writer.write(END)
            await writer.drain()
    writer.close()

"""What the proxies cost and hold: time to the first token, throughput, idle connections, restarts, renewals, keys.

    python -m bench.proxy [ROUNDS]

Debian's HAProxy runs with the configuration of the program, asks for keys, and stands before a server that streams at a
model's pace. With and without it are measured in turn in one run; a figure is the median of the differences round by
round. Written to bench/results.json under `proxy`.
"""

import asyncio
import contextlib
import itertools
import resource
import signal
import ssl
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from bench import results
from bench.streaming import KEY, Client, Timed, load, running_server
from components.endpoint.haproxy_sections import CERTIFICATE
from tests.endpoint.certificates import make_certificate, mount
from tests.endpoint.door import Door, Engine, running_door
from tests.endpoint.secured import HOST, running_secured_door

REQUESTS = {1: 4, 64: 256}
"""Answers in each round, by the number of clients at a time."""

MANY = 64
IDLE_CONNECTIONS = 10_000
OPENED_AT_A_TIME = 200
FILES_OF_ITS_OWN = 150
"""HAProxy takes half as many connections as it may open files, less those that it needs itself and for the others."""

SLOW_CLIENTS = 1000
OLD_KEY, NEXT_KEY = "the-key-of-team-a", "the-next-key-of-team-a"
RENEWALS = 5
LEAVES_AFTER_SECONDS = 5
"""As the pod's preStop command waits (components/endpoint/proxy_pod.py)."""


def main() -> None:
    """Measure, print, and add the figures to the results."""
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 15
    _, most_files = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most_files, most_files))
    idle = min(IDLE_CONNECTIONS, most_files // 2 - FILES_OF_ITS_OWN)
    with tempfile.TemporaryDirectory() as folder, running_server() as server, ExitStack() as stack:
        with ExitStack() as alone:
            door = _door(Path(folder, "alone"), server, alone)
            figures = _added(server, door.port, rounds) | {"idle": asyncio.run(_idle(door, idle))}
            figures["slow_clients"] = asyncio.run(_beside_slow_clients(door))
        figures["rolling_restart"] = asyncio.run(_rolling_restart(Path(folder), server, stack))
        figures["key_exchange"] = asyncio.run(_key_exchange(Path(folder), server, stack))
        figures["certificate_renewals"] = asyncio.run(_renewals(Path(folder), server, stack))
    print(figures)
    results.add({"proxy": figures})


def _door(folder: Path, server: int, stack: ExitStack, more_keys: Mapping[str, str] | None = None) -> Door:
    folder.mkdir()
    return stack.enter_context(running_door(folder, Engine(server), {"apiKey": KEY, **(more_keys or {})}))


def _added(server: int, proxy: int, rounds: int) -> dict[str, Any]:
    """Return by the number of clients what the proxy adds to the first token, and how throughput compares."""
    figures: dict[str, Any] = {}
    for clients, requests in REQUESTS.items():
        added: list[float] = []
        ratios: list[float] = []
        for number in range(rounds + 1):
            order = (server, proxy) if number % 2 else (proxy, server)
            measured = {port: asyncio.run(_measured(port, clients, requests)) for port in order}
            if number:  # the first opens connections
                (plain, plain_rate), (proxied, proxied_rate) = measured[server], measured[proxy]
                added.append((proxied - plain) * 1000)
                ratios.append(proxied_rate / plain_rate)
        figures[f"at_{clients}"] = {
            "first_token_added_ms": round(statistics.median(added), 2),
            "throughput_ratio": round(statistics.median(ratios), 4),
        }
    return figures


async def _measured(port: int, clients: int, requests: int) -> tuple[float, float]:
    """Return the median seconds to the first token, and answers a second."""
    left = [requests]

    def enough() -> bool:
        left[0] -= 1
        return left[0] < 0

    start = time.perf_counter()
    answers = await load(lambda: port, clients, enough, reconnect=False)
    seconds = time.perf_counter() - start
    if not all(answer.whole for answer in answers):
        raise RuntimeError("an answer was cut, so its times are none")
    return statistics.median(answer.first_token for answer in answers), len(answers) / seconds


async def _idle(door: Door, connections: int) -> dict[str, Any]:
    """Hold connections on which nothing comes, and let others ask beside them."""
    idle = [Client(door.port) for _ in range(connections)]
    opened = 0
    for start in range(0, len(idle), OPENED_AT_A_TIME):
        opened += sum(await asyncio.gather(*(client.healthy() for client in idle[start : start + OPENED_AT_A_TIME])))
    first_token, _ = await _measured(door.port, MANY, REQUESTS[MANY])
    memory = _memory_mib(door.process.pid)
    asked_again = idle[:: connections // 100][:100]
    still_open = sum(await asyncio.gather(*(client.healthy() for client in asked_again)))
    await asyncio.gather(*(client.close() for client in idle))
    return {
        "connections": opened,
        "first_token_ms_of_64_others": round(first_token * 1000, 1),
        "proxy_memory_mib": memory,
        "still_answering_of_100": still_open,
    }


async def _beside_slow_clients(door: Door) -> dict[str, Any]:
    """Let 64 clients ask alone, and beside a thousand that send their headers a byte a second."""
    alone, _ = await _measured(door.port, MANY, REQUESTS[MANY])
    slow = [asyncio.create_task(_send_slowly(door.port)) for _ in range(SLOW_CLIENTS)]
    await asyncio.sleep(2)
    beside, _ = await _measured(door.port, MANY, REQUESTS[MANY])
    still_sending = sum(not task.done() for task in slow)
    cut = sum(await asyncio.gather(*slow))
    return {
        "slow": still_sending,
        "first_token_ms_of_64_others_alone": round(alone * 1000, 1),
        "first_token_ms_of_64_others": round(beside * 1000, 1),
        "cut_in_the_end": cut,
    }


async def _send_slowly(port: int) -> bool:
    """Send headers a byte a second; return whether the proxy has ended that."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        for byte in b"POST /v1/chat/completions HTTP/1.1\r\nHost: model\r\n":
            writer.write(bytes([byte]))
            await writer.drain()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(1):
                    return b" 408 " in await reader.readline()
    except ConnectionError:
        return True
    finally:
        writer.close()
    return False


def _memory_mib(process: int) -> int:
    status = Path(f"/proc/{process}/status").read_text()
    return round(int(status.partition("VmRSS:")[2].split()[0]) / 1024)


class _Proxies:
    """Two proxies, replaced one after the other as a Deployment does."""

    def __init__(self, folder: Path, server: int, stack: ExitStack, keys: Mapping[str, str] | None = None) -> None:
        self._folder, self._server, self._stack = folder, server, stack
        self._started = itertools.count()
        self._ready = [self._start(keys) for _ in range(2)]
        self._turn = itertools.count()

    def port(self) -> int:
        """Return that of the one whose turn it is."""
        return self._ready[next(self._turn) % len(self._ready)].port

    def replace(self, keys: Mapping[str, str] | None = None) -> None:
        """Have two others with these keys; those before have then given their last answers."""
        for _ in range(2):
            self._ready.append(self._start(keys))
            leaving = self._ready.pop(0)
            time.sleep(LEAVES_AFTER_SECONDS)
            leaving.process.send_signal(signal.SIGUSR1)
            leaving.process.wait(30)

    def _start(self, keys: Mapping[str, str] | None) -> Door:
        return _door(self._folder / str(next(self._started)), self._server, self._stack, keys)


async def _rolling_restart(folder: Path, server: int, stack: ExitStack) -> dict[str, int]:
    """Replace both proxies while 64 clients ask without a pause."""
    (folder / "restart").mkdir()
    proxies = _Proxies(folder / "restart", server, stack)
    return await _asked_during(proxies.replace, proxies.port)


async def _key_exchange(folder: Path, server: int, stack: ExitStack) -> dict[str, int]:
    """Exchange a key while 64 clients ask without a pause: a second one is let in, they take it, the first goes."""
    (folder / "exchange").mkdir()
    presented = [OLD_KEY]
    proxies = _Proxies(folder / "exchange", server, stack, {"team-a": OLD_KEY})

    def exchange() -> None:
        proxies.replace({"team-a": OLD_KEY, "team-a-next": NEXT_KEY})
        presented[0] = NEXT_KEY
        time.sleep(2)
        proxies.replace({"team-a-next": NEXT_KEY})

    return await _asked_during(exchange, proxies.port, key=lambda: presented[0])


async def _asked_during(
    change: Callable[[], None],
    port: Callable[[], int],
    *,
    key: Callable[[], str] = lambda: KEY,
    tls: ssl.SSLContext | None = None,
) -> dict[str, int]:
    """Return how many answers came while 64 clients asked without a pause during a change, and how many were cut."""
    done = threading.Event()

    def make() -> None:
        time.sleep(2)
        change()
        time.sleep(2)
        done.set()

    changing = threading.Thread(target=make)
    changing.start()
    answers: list[Timed] = await load(port, MANY, done.is_set, reconnect=True, tls=tls, key=key)
    changing.join()
    return {"answers": len(answers), "cut": sum(not answer.whole for answer in answers)}


async def _renewals(folder: Path, server: int, stack: ExitStack) -> dict[str, int]:
    """Renew the certificate of a proxy with TLS again and again, while 64 clients ask without a pause."""
    (folder / "secured").mkdir()
    secured = stack.enter_context(running_secured_door(folder / "secured", Engine(server), {"apiKey": KEY}))
    trusting = ssl.create_default_context()
    trusting.check_hostname, trusting.verify_mode = False, ssl.CERT_NONE
    held = list[bool]()

    def renew() -> None:
        for number in range(RENEWALS):
            mount(secured.folder, *make_certificate(folder / f"certificate-{number}", HOST))
            held.append(secured.becomes((secured.folder / CERTIFICATE).read_text()))
            time.sleep(1)

    asked = await _asked_during(renew, lambda: secured.port, tls=trusting)
    return {"renewals": sum(held), **asked}


if __name__ == "__main__":
    main()

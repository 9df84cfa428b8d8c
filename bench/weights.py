"""What a download costs, beside a plain `git clone` of the same repository from the same server, in one run.

    python -m bench.weights

Prints a table and writes bench/weights.json: `disk_ratio` (disk of the download over the size of the repository),
`wall_ratio` (wall time over the clone's), `two_pods_wall_ratio` (two pods against one clone, each capped to the same
rate), `peak_mib` (anonymous memory of all processes of a pod), `refetched_bytes` (sent twice because of a SIGKILL at
50 %). Takes about five minutes and 10 GiB in the folder for temporary files.
"""

import argparse
import json
import os
import random
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

import lfs_repository
from lfs_server import Handler, LfsServer

from bench import ROOT

OBJECTS, OBJECT_BYTES = 24, 90 << 20
ROUNDS = 3
CAP_BYTES_PER_SECOND = 48 << 20
PIECE_BYTES = 1 << 20
HOST = "models.test"
"""Resolved by nobody: each pod reaches the server by a proxy of its own, which is where its rate is capped."""


class CappedHandler(Handler):
    """Answers requests to a proxy, at the rate of its server."""

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
        """Say nothing: the table is the output."""

    def parse_request(self) -> bool:
        """Take the path out of the address that a proxy is asked for."""
        well_formed = super().parse_request()
        if well_formed:
            self.path = self.path.removeprefix(f"http://{HOST}")
        return well_formed

    def send_content(self, file: BinaryIO, first: int, count: int) -> None:
        """Send in pieces, each when its turn has come."""
        if not isinstance(self.files, CappedServer):
            raise TypeError(self.files)
        for start in range(first, first + count, PIECE_BYTES):
            piece = min(PIECE_BYTES, first + count - start)
            self.files.take_turn(piece)
            try:
                super().send_content(file, start, piece)
            except OSError:  # the client was killed, as it is meant to be
                return
            self.files.sent += piece


class CappedServer(LfsServer):
    """A server that sends at most `bytes_per_second`, all connections together."""

    def __init__(self, root: Path) -> None:
        super().__init__(("127.0.0.1", 0), root, handler=CappedHandler)
        self.bytes_per_second = float("inf")
        self.sent = 0
        self._lock, self._free_at = threading.Lock(), 0.0

    def take_turn(self, count: int) -> None:
        """Sleep until `count` bytes fit under the cap."""
        with self._lock:
            now = time.monotonic()
            turn = max(now, self._free_at)
            self._free_at = turn + count / self.bytes_per_second
        time.sleep(turn - now)

    def handle_error(self, request: object, client_address: object) -> None:  # pyright: ignore[reportIncompatibleMethodOverride]
        """Say nothing about clients that were killed."""

    @property
    def proxy(self) -> dict[str, str]:
        """The environment of a client whose every request goes through here."""
        return {"http_proxy": f"http://127.0.0.1:{self.server_port}"}


@contextmanager
def serving(root: Path) -> Generator[CappedServer]:
    """Serve in threads of this process."""
    with CappedServer(root) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()


class Client:
    """A clone or a pod in a process group of its own, with its wall time and its memory."""

    def __init__(self, command: list[str], environment: Mapping[str, str], log: Path) -> None:
        with log.open("ab") as output:
            self.process = subprocess.Popen(
                command, env=environment, stdout=output, stderr=subprocess.STDOUT, start_new_session=True
            )
        self.log, self.peak_bytes, self._start = log, 0, time.monotonic()

    def finish(self) -> float:
        """Wait for the end and return the wall time in seconds. Raises RuntimeError when it failed."""
        while self.process.poll() is None:
            self.peak_bytes = max(self.peak_bytes, anonymous_bytes(self.process.pid))
            time.sleep(0.05)
        seconds = time.monotonic() - self._start
        if self.process.returncode:
            raise RuntimeError(f"{self.process.args} ended with {self.process.returncode}:\n{self.log.read_text()}")
        return seconds

    def kill(self) -> None:
        """Kill everything, as when a container is killed."""
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()


def anonymous_bytes(group: int) -> int:
    """Return the anonymous memory of all processes of a group."""
    total = 0
    for status in Path("/proc").glob("[0-9]*/status"):
        try:
            if os.getpgid(int(status.parent.name)) == group:
                fields = dict(line.split(":", 1) for line in status.read_text().splitlines())
                total += int(fields.get("RssAnon", "0 kB").split()[0]) << 10
        except (ProcessLookupError, FileNotFoundError):
            continue
    return total


def disk_bytes(folder: Path) -> int:
    """Return the bytes on the disk below a folder, hard links counted once."""
    found = {(status.st_dev, status.st_ino): status.st_blocks * 512 for status in map(os.lstat, folder.rglob("*"))}
    return sum(found.values())


class Bench:
    """The repository, the server, and the two ways to get the one from the other."""

    def __init__(self, folder: Path, server: CappedServer, second_server: CappedServer) -> None:
        self.folder, self.server, self.second_server = folder, server, second_server
        self.alone = {"PATH": os.environ["PATH"], "HOME": str(folder), "GIT_CONFIG_NOSYSTEM": "1"}
        subprocess.run(["git", "lfs", "install"], env=self.alone, cwd=folder, check=True, capture_output=True)

    def clone(self) -> Client:
        """Start a plain clone to `folder/plain`."""
        command = ["git", "clone", "--quiet", f"http://{HOST}/model.git", str(self.folder / "plain")]
        return Client(command, self.alone | self.server.proxy, self.folder / "plain.log")

    def pod(self, index: int = 0, pods: int = 1) -> Client:
        """Start a pod that downloads to `folder/volume`."""
        variables = {
            "PYTHONPATH": f"{ROOT / 'images' / 'fetch'}:{ROOT / 'images' / 'shared'}",
            "TERMINATION_LOG": str(self.folder / "termination-log"),
            "MODEL_REPOSITORY": f"http://{HOST}/model.git",
            "MODEL_REVISION": "main",
            "MODEL_DIRECTORY": str(self.folder / "volume" / "model" / "main"),
            "VOLUME": str(self.folder / "volume"),
            "JOB_NAME": "bench",
            "JOB_COMPLETION_INDEX": str(index),
            "DOWNLOAD_PODS": str(pods),
        }
        proxy = (self.server if index == 0 else self.second_server).proxy
        return Client([sys.executable, "-m", "fetch"], {**self.alone, **variables, **proxy}, self.folder / "pod.log")

    def clear(self) -> None:
        """Start again from empty folders."""
        shutil.rmtree(self.folder / "plain", ignore_errors=True)
        shutil.rmtree(self.folder / "volume", ignore_errors=True)
        (self.folder / "volume").mkdir()
        os.sync()

    def side_by_side(self, size: int) -> dict[str, float]:
        """Compare as fast as it goes: wall time, disk, memory."""
        plain_walls: list[float] = []
        walls: list[float] = []
        result: dict[str, float] = {}
        for _ in range(ROUNDS):
            self.clear()
            plain, plain_wall = self.timed(self.clone)
            plain_disk = disk_bytes(self.folder / "plain")
            self.clear()
            pod, wall = self.timed(self.pod)
            disk = disk_bytes(self.folder / "volume")
            plain_walls.append(plain_wall)
            walls.append(wall)
            result = {
                "disk_ratio": disk / size,
                "plain_disk_ratio": plain_disk / size,
                "peak_mib": max(result.get("peak_mib", 0), pod.peak_bytes / (1 << 20)),
                "plain_peak_mib": max(result.get("plain_peak_mib", 0), plain.peak_bytes / (1 << 20)),
            }
        result["wall_seconds"], result["plain_wall_seconds"] = statistics.median(walls), statistics.median(plain_walls)
        result["wall_ratio"] = result["wall_seconds"] / result["plain_wall_seconds"]
        return result

    def timed(self, start: Callable[[], Client]) -> tuple[Client, float]:
        """Run a client to its end."""
        client = start()
        return client, client.finish()

    def two_pods(self) -> dict[str, float]:
        """Compare under a cap for each client: two pods and one clone."""
        self.clear()
        for server in (self.server, self.second_server):
            server.bytes_per_second = CAP_BYTES_PER_SECOND
        _, plain = self.timed(self.clone)
        self.clear()
        start = time.monotonic()
        pods = [self.pod(index, pods=2) for index in range(2)]
        for pod in pods:
            pod.finish()
        seconds = time.monotonic() - start
        for server in (self.server, self.second_server):
            server.bytes_per_second = float("inf")
        return {
            "two_pods_wall_seconds": seconds,
            "capped_plain_wall_seconds": plain,
            "two_pods_wall_ratio": seconds / plain,
        }

    def killed_half_way(self, size: int) -> dict[str, float]:
        """Count what is sent twice when the pod is killed at 50 %."""
        self.clear()
        sent = self.server.sent
        self.server.bytes_per_second = 4 * CAP_BYTES_PER_SECOND
        pod = self.pod()
        while self.server.sent - sent < size / 2:
            time.sleep(0.01)
        pod.kill()
        self.pod().finish()
        return {"refetched_bytes": self.server.sent - sent - OBJECTS * OBJECT_BYTES}


def make_repository(root: Path) -> int:
    """Make `root/model.git` with random objects; returns the size of its files in bytes."""
    files = root / "files"
    files.mkdir(parents=True)
    source = random.Random(0)  # noqa: S311 - the same each time
    for number in range(OBJECTS):
        with (files / f"model-{number:02}.safetensors").open("wb") as file:
            for _ in range(OBJECT_BYTES // PIECE_BYTES):
                file.write(source.randbytes(PIECE_BYTES))
    (files / "config.json").write_text("{}\n")
    size = sum(path.stat().st_size for path in files.iterdir())
    lfs_repository.commit(root / "model.git", files)
    shutil.rmtree(files)
    return size


def measure(folder: Path) -> dict[str, float]:
    """Make the repository and measure everything about its download."""
    size = make_repository(folder / "server")
    with serving(folder / "server") as server, serving(folder / "server") as second_server:
        bench = Bench(folder, server, second_server)
        results = bench.side_by_side(size) | bench.two_pods() | bench.killed_half_way(size)
    return {"repository_bytes": size, "objects": OBJECTS} | results


def table(results: Mapping[str, float]) -> str:
    """Return the figures for people."""
    rows = (
        ("", "download", "git clone", "limit"),
        ("disk / repository", f"{results['disk_ratio']:.3f}", f"{results['plain_disk_ratio']:.3f}", "1.01"),
        ("wall s", f"{results['wall_seconds']:.1f}", f"{results['plain_wall_seconds']:.1f}", "1.0 x"),
        (
            "wall s, two pods, capped",
            f"{results['two_pods_wall_seconds']:.1f}",
            f"{results['capped_plain_wall_seconds']:.1f}",
            "0.6 x",
        ),
        ("peak memory MiB", f"{results['peak_mib']:.0f}", f"{results['plain_peak_mib']:.0f}", "512"),
        ("sent again after SIGKILL, MiB", f"{results['refetched_bytes'] / (1 << 20):.1f}", "", "64 a stream"),
    )
    return "\n".join(f"{name:32}{ours:>12}{plain:>12}{limit:>14}" for name, ours, plain, limit in rows)


def main() -> None:
    """Measure, write the results, print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, help="where the temporary files go")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="bench-weights-", dir=args.folder) as folder:
        results = measure(Path(folder))
    (ROOT / "bench" / "weights.json").write_text(json.dumps(results, indent=2) + "\n")
    print(table(results))


if __name__ == "__main__":
    main()

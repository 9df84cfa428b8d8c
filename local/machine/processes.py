"""Processes that outlive the command that started them: started once, verified, stopped, each with a log of its own.

A record next to each says which process it is: its id together with the time it started and the boot it belongs to, so
that after a crash or a reboot a stranger with the same id is never taken for it, let alone killed.
"""

import contextlib
import hashlib
import json
import os
import signal
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from local.machine import probes

SEARCH_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
LAST_LINES = 15


class ProcessFailed(Exception):
    """A process ended, or was not ready in time; the text has the end of its log and the log's path."""


@dataclass(frozen=True, kw_only=True)
class Daemon:
    """A program to keep running.

    `files` are written before it starts; it is restarted when they or the command have changed. `ready` is asked until
    it says yes, for at most `ready_seconds`. It sees nothing of the caller's environment: a proxy set there must not
    come between the parts of the cluster.
    """

    name: str
    command: tuple[str, ...]
    ready: Callable[[], bool]
    ready_seconds: float = 120.0
    files: Mapping[Path, str] = field(default_factory=dict[Path, str])
    environment: Mapping[str, str] = field(default_factory=dict[str, str])

    @property
    def fingerprint(self) -> str:
        """Changes when the running process would not be what a new one would be."""
        files = [(str(path), text) for path, text in self.files.items()]
        described = json.dumps([self.command, files, sorted(self.environment.items())])
        return hashlib.sha256(described.encode()).hexdigest()


@dataclass(frozen=True)
class _Record:
    pid: int
    started: int
    boot: str
    fingerprint: str

    def alive(self) -> bool:
        return self.boot == boot_id() and start_time(self.pid) == self.started


class Supervisor:
    """The daemons of one cluster: records in `records`, output in `logs`."""

    def __init__(self, records: Path, logs: Path) -> None:
        self._records = records
        self._logs = logs

    def log(self, name: str) -> Path:
        """Where the output of a daemon goes; the output of the one before is beside it, ending in `.log.1`."""
        return self._logs / f"{name}.log"

    def ensure(self, daemon: Daemon) -> bool:
        """Have `daemon` running and ready; says whether it had to be started.

        Raises ProcessFailed if it ends, or is not ready in time.
        """
        record = self._read(daemon.name)
        running = record is not None and record.alive() and record.fingerprint == daemon.fingerprint
        if not running:
            self.stop(daemon.name)
            self._start(daemon)
        self._wait_until_ready(daemon)
        return not running

    def stop(self, name: str, *, seconds: float = 10.0) -> None:
        """End a daemon if it runs: asked first, killed when it has not obeyed after `seconds`."""
        record = self._read(name)
        if record is not None:
            for number, patience in ((signal.SIGTERM, seconds), (signal.SIGKILL, 5.0)):
                if not record.alive():
                    break
                with contextlib.suppress(ProcessLookupError):
                    os.kill(record.pid, number)
                probes.wait_until(lambda: not record.alive(), patience)
            if record.alive():
                raise ProcessFailed(f"`{name}` (process {record.pid}) does not end, even killed")
        self._record_path(name).unlink(missing_ok=True)

    def names(self) -> list[str]:
        """Every daemon that was started and not stopped, running or not, the latest first."""
        paths = sorted(self._records.glob("*.json"), key=lambda path: path.stat().st_mtime_ns, reverse=True)
        return [path.stem for path in paths]

    def pid(self, name: str) -> int | None:
        """The process id of a daemon that runs, otherwise None."""
        record = self._read(name)
        return record.pid if record is not None and record.alive() else None

    def _start(self, daemon: Daemon) -> None:
        for path, text in daemon.files.items():
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        log = self.log(daemon.name)
        log.parent.mkdir(parents=True, exist_ok=True)
        if log.exists():
            log.replace(log.with_suffix(".log.1"))
        pid = os.posix_spawn(
            daemon.command[0],
            daemon.command,
            {"PATH": SEARCH_PATH, **daemon.environment},
            file_actions=(
                (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
                (os.POSIX_SPAWN_OPEN, 1, log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644),
                (os.POSIX_SPAWN_DUP2, 1, 2),
            ),
            setsid=True,
            setsigmask=(),
            setsigdef=(signal.SIGINT, signal.SIGPIPE),
        )
        record = _Record(pid, start_time(pid) or 0, boot_id(), daemon.fingerprint)
        self._records.mkdir(parents=True, exist_ok=True)
        self._record_path(daemon.name).write_text(json.dumps(vars(record)))

    def _wait_until_ready(self, daemon: Daemon) -> None:
        def ready_or_dead() -> bool:
            return self.pid(daemon.name) is None or daemon.ready()

        in_time = probes.wait_until(ready_or_dead, daemon.ready_seconds)
        if self.pid(daemon.name) is None:
            raise ProcessFailed(f"`{daemon.name}` ended right after its start\n{self._end_of_log(daemon.name)}")
        if not in_time:
            raise ProcessFailed(
                f"`{daemon.name}` is not ready after {daemon.ready_seconds:.0f} s\n{self._end_of_log(daemon.name)}"
            )

    def _end_of_log(self, name: str) -> str:
        lines = self.log(name).read_text(errors="replace").splitlines()[-LAST_LINES:]
        return "".join(f"    | {line}\n" for line in lines) + f"  Its log: {self.log(name)}"

    def _record_path(self, name: str) -> Path:
        return self._records / f"{name}.json"

    def _read(self, name: str) -> _Record | None:
        try:
            return _Record(**json.loads(self._record_path(name).read_text()))
        except FileNotFoundError:
            return None


def boot_id() -> str:
    """Differs after each boot of the machine."""
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()


def start_time(pid: int) -> int | None:
    """When a process started, in clock ticks since boot; None if there is none, or only its exit status is left."""
    with contextlib.suppress(ChildProcessError):
        os.waitpid(pid, os.WNOHANG)
    try:
        status = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return None
    # The second field is the program's name in parentheses, which may itself hold spaces and parentheses (proc(5)).
    state, *numbers = status.rpartition(")")[2].split()
    return None if state == "Z" else int(numbers[18])

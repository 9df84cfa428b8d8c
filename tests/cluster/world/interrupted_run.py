"""A run of Pulumi in a process of its own, which a test interrupts at the n-th resource that it begins.

`python -m tests.cluster.world.interrupted_run COMMAND TARGET`, with the fields of a `Target` as JSON.
"""

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from pulumi import automation

from local import paths, stack

STACK = "a100-bf16"
BEGUN = re.compile(r"kubernetes:(?P<resource>\S+ \S+) (?P<step>creating|deleting)\b")
END_SECONDS = 180.0
"""How long an interrupted run may take to end by itself; it takes a second or two."""

How = Literal["interrupted", "killed", "interrupted and killed"]
HOW: tuple[How, ...] = ("interrupted", "killed", "interrupted and killed")
"""SIGINT to the process group, as a terminal sends it for Ctrl-C; SIGKILL to every process; the one, then the other."""


@dataclass(frozen=True)
class Target:
    """One stack with its state."""

    kubeconfig: str
    folder: str
    overrides: dict[str, Any]

    def select(self) -> automation.Stack:
        return stack.select(STACK, Path(self.kubeconfig), self.overrides, Path(self.folder))

    def locks(self) -> list[Path]:
        return list(Path(self.folder, "state", ".pulumi", "locks").rglob("*.json"))


@dataclass(frozen=True)
class Place:
    """When the n-th resource is begun."""

    number: int
    how: How

    def __str__(self) -> str:
        return f"{self.how} at {self.number}".replace(" ", "-")


def places(count: int) -> list[Place]:
    """Return that many places, one after the other, each with another way to end."""
    return [Place(number + 1, HOW[number % len(HOW)]) for number in range(count)]


def interrupted(target: Target, command: str, place: Place) -> list[str]:
    """Run a command until the place; return what had begun by then, the last one in flight.

    All of it if the run ended before: there are not that many. No process is left, after Ctrl-C by itself.
    """
    started = subprocess.Popen(
        [sys.executable, "-m", "tests.cluster.world.interrupted_run", command, json.dumps(asdict(target))],
        cwd=paths.CHECKOUT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    assert started.stdout
    begun: dict[str, None] = {}
    try:
        for line in started.stdout:
            if found := BEGUN.search(line):
                begun[f"{found['step']} {found['resource']}"] = None
            if len(begun) == place.number:
                _end(started.pid, place.how)
                break
        started.communicate(timeout=END_SECONDS)
        if place.how == "interrupted":
            assert not list(processes(started.pid)), "the engine ends its plugins before it ends"
    finally:
        _kill(started.pid)
        started.wait()
    return list(begun)


def processes(session: int) -> Iterator[int]:
    """Yield the processes of a session. The engine puts its plugins into process groups of their own."""
    for status in Path("/proc").glob("[0-9]*/stat"):
        try:
            state, _, _, of_session, *_ = status.read_text().rpartition(")")[2].split()
        except (FileNotFoundError, ProcessLookupError):
            continue
        if int(of_session) == session and state != "Z":
            yield int(status.parent.name)


def _end(session: int, how: How) -> None:
    if how != "killed":
        os.killpg(session, signal.SIGINT)
    if how == "interrupted and killed":
        time.sleep(0.1)
    if how != "interrupted":
        _kill(session)


def _kill(session: int) -> None:
    while left := list(processes(session)):
        for process in left:
            try:
                os.kill(process, signal.SIGKILL)
            except ProcessLookupError:
                continue
        time.sleep(0.01)


if __name__ == "__main__":
    sys.exit(stack.run(Target(**json.loads(sys.argv[2])).select(), sys.argv[1]))

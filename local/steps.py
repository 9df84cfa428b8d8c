"""How a command says what it does: steps that run as soon as what they need is done, a line for each, output in logs.

Every step must be idempotent: a command that failed is resumed by running it again. Nothing is remembered between runs.
"""

import re
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from graphlib import TopologicalSorter
from pathlib import Path

QUIET_SECONDS = 3.0
"""A step that takes longer than this is announced while it runs."""
REMINDER_SECONDS = 60.0
LAST_LINES = 15


class StepsFailed(Exception):
    """One or more steps failed; the text names each with its log and the command to run again."""


class CommandFailed(Exception):
    """A program that a step ran ended with a status other than 0."""


class StepLog:
    """The log file of one step, and the programs whose output goes into it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("")

    def say(self, text: str) -> None:
        """Append a line to the log."""
        with self.path.open("a") as file:
            file.write(text.rstrip("\n") + "\n")

    def run(
        self,
        command: Sequence[str | Path],
        *,
        cwd: Path | None = None,
        environment: Mapping[str, str] | None = None,
        input_text: str | None = None,
    ) -> None:
        """Run a program to its end with its output in the log; `environment` replaces the whole environment.

        Raises CommandFailed if it ends with a status other than 0, FileNotFoundError if there is no such program.
        """
        words = [str(word) for word in command]
        self.say("$ " + " ".join(words))
        with self.path.open("a") as file:
            done = subprocess.run(
                words,
                cwd=cwd,
                env=environment,
                input=input_text,
                text=True,
                stdout=file,
                stderr=subprocess.STDOUT,
                check=False,
            )
        if done.returncode != 0:
            raise CommandFailed(f"`{words[0]}` ended with status {done.returncode}")


def last_lines(log: Path) -> list[str]:
    """The end of a log, empty lines left out."""
    lines = [line for line in log.read_text(errors="replace").splitlines() if line.strip()]
    return lines[-LAST_LINES:]


def log_path(logs: Path, step_name: str) -> Path:
    """Where the log of a step lies."""
    return logs / (re.sub(r"[^a-z0-9.]+", "-", step_name.lower()).strip("-") + ".log")


@dataclass(frozen=True, kw_only=True)
class Step:
    """One idempotent piece of work.

    `action` gets the step's log and may return a few words for its line ("already there"). `needs` names the steps that
    must be done before it.
    """

    name: str
    action: Callable[[StepLog], str | None]
    needs: tuple[str, ...] = ()


class _Display:
    """Prints a line when a step ends, and now and then what is still running."""

    def __init__(self, logs: Path) -> None:
        self._logs = logs
        self._started: dict[str, float] = {}
        self._announced: set[str] = set()
        self._next_reminder = time.monotonic() + REMINDER_SECONDS

    def started(self, name: str) -> None:
        self._started[name] = time.monotonic()

    def ended(self, name: str, outcome: str) -> None:
        seconds = time.monotonic() - self._started.pop(name)
        self._print(f"{seconds:6.1f} s  {name}: {outcome}")

    def tick(self) -> None:
        """Announce once, with its log, what has been running for some seconds; every minute say what still runs."""
        now = time.monotonic()
        for name, since in self._started.items():
            if name not in self._announced and now - since > QUIET_SECONDS:
                self._announced.add(name)
                self._print(f"     ...  {name} (log: {log_path(self._logs, name)})")
        if now > self._next_reminder and self._started:
            still = ", ".join(f"{name} ({now - since:.0f} s)" for name, since in self._started.items())
            self._print(f"     ...  still running: {still}")
            self._next_reminder = now + REMINDER_SECONDS

    @staticmethod
    def _print(line: str) -> None:
        print(line, file=sys.stderr, flush=True)


def run_steps(steps: Sequence[Step], *, logs: Path, again: str) -> None:
    """Run every step, those that do not need each other side by side.

    After a failure nothing new starts and what runs is let finish; then StepsFailed tells of each failed step and names
    `again`, the command to run again. Raises ValueError if a step needs one that is not among `steps`.
    """
    by_name = {step.name: step for step in steps}
    unknown = {need for step in steps for need in step.needs} - by_name.keys()
    if unknown:
        raise ValueError(f"no such steps: {', '.join(sorted(unknown))}")
    order = TopologicalSorter({step.name: step.needs for step in steps})
    order.prepare()

    display = _Display(logs)
    failures: list[str] = []
    running: dict[Future[str | None], str] = {}
    with ThreadPoolExecutor(max_workers=len(steps) or 1) as pool:
        while order.is_active():
            for name in order.get_ready() if not failures else ():
                display.started(name)
                running[pool.submit(by_name[name].action, StepLog(log_path(logs, name)))] = name
            if not running:
                break
            done, _ = wait(running, timeout=1.0, return_when=FIRST_COMPLETED)
            for future in done:
                name = running.pop(future)
                error = future.exception()
                if error is None:
                    display.ended(name, future.result() or "done")
                    order.done(name)
                else:
                    display.ended(name, f"FAILED: {error}")
                    failures.append(_failure(name, error, log_path(logs, name), again))
            display.tick()
    if failures:
        raise StepsFailed("\n\n".join(failures))


def _failure(name: str, error: BaseException, log: Path, again: str) -> str:
    tail = "".join(f"    | {line}\n" for line in last_lines(log))
    return f"The step `{name}` failed: {error}\n{tail}  Its log: {log}\n  Run `{again}` again: it goes on from there."

"""One attempt of the supervisor, as its tests make and follow it."""

import threading
import time
from collections.abc import Callable
from typing import TypeAlias

import following
import pytest
from failure_history import Failed
from supervisor_log import Event, events

Serve: TypeAlias = Callable[..., Failed]


def when(condition: Callable[[], bool], action: Callable[[], object]) -> None:
    """Do something as soon as a condition holds, in the background."""

    def wait() -> None:
        deadline = time.monotonic() + 10
        while not condition() and time.monotonic() < deadline:
            time.sleep(0.01)
        action()

    threading.Thread(target=wait, daemon=True).start()


def is_serving() -> bool:
    return following.SERVING_FILE.exists()


def told(capsys: pytest.CaptureFixture[str]) -> list[Event]:
    return list(events(capsys.readouterr().out))

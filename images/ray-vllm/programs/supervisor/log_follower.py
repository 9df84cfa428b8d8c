"""Copies the output of a Ray job to this program's own, as it is written, and remembers its last lines."""

import contextlib
import os
import socket
import threading
from collections import deque
from http.client import HTTPException, HTTPResponse

from direct_http import NoAnswer
from engine_log import EngineLog
from ray_api import Job, RayApi

REMEMBERED_LINES = 200
WHOLE_LOG = -1
RECENT_LINES = 200  # shown again where the beginning was not seen, or after the connection broke
RETRY_SECONDS = 1.0


class LogFollower:
    """Follows one job until it is closed, in a thread; a connection that breaks is opened again.

    `engine` is what the output tells of vLLM's engine.
    """

    def __init__(self, ray: RayApi, submission_id: str, lines: int = WHOLE_LOG) -> None:
        self._ray = ray
        self._submission_id = submission_id
        self._lines = lines
        self.engine = EngineLog()
        self._remembered: deque[str] = deque(maxlen=REMEMBERED_LINES)
        self._stream: HTTPResponse | None = None
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"log of {submission_id}", daemon=True)
        self._thread.start()

    def lines(self) -> list[str]:
        """Return the last lines so far, at most 200."""
        return list(self._remembered)

    def close(self, linger: float = 0) -> None:
        """Stop, after `linger` seconds in which what the job wrote last can still arrive."""
        self._closed.wait(linger)
        self._closed.set()
        if self._stream is not None:
            _shut_down(self._stream)
        self._thread.join(timeout=5)

    def _run(self) -> None:
        while not self._closed.is_set():
            # What is wrong with the head is told by the supervisor's own look at the job.
            with contextlib.suppress(NoAnswer, OSError, HTTPException, ValueError):
                job = self._ray.job(self._submission_id)
                if job is None:
                    return
                if job.node_id:
                    self._copy(job)
            self._closed.wait(RETRY_SECONDS)

    def _copy(self, job: Job) -> None:
        with self._ray.follow_log(job, self._lines) as self._stream:
            self._lines = RECENT_LINES
            for raw in self._stream:
                line = raw.decode(errors="replace").rstrip("\n")
                self._remembered.append(line)
                self.engine.read(line)
                print(line, flush=True)
                if self._closed.is_set():
                    return


def _shut_down(stream: HTTPResponse) -> None:
    """End a read that waits in another thread, which closing the stream would not; it may have ended by itself."""
    with (
        contextlib.suppress(AttributeError, OSError, ValueError),
        socket.socket(fileno=os.dup(stream.fileno())) as connection,
    ):
        connection.shutdown(socket.SHUT_RDWR)

"""How far the download is, in the pod's log and where the person looks who started it.

`pulumi up` shows Events on the Job, and of those only the ones of type Warning. A pod has one, which it updates.
"""

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Generator
from contextlib import contextmanager

import in_cluster
from download_settings import DownloadSettings
from failure import binary
from job_event import JobEvent

log = logging.getLogger(__name__)

INTERVAL_SECONDS = 10.0
RATE_WINDOW_SECONDS = 60.0
NOT_FOUND = 404


@contextmanager
def reported(
    download: DownloadSettings, total: int, received: Callable[[], int], verified: Callable[[], int]
) -> Generator[None]:
    """Tell every few seconds what `received` and `verified` return, in bytes of `total`.

    The pod that finishes the work of all shows it to `pulumi up`; the others only log it.
    """
    stopped, rate = threading.Event(), Rate()

    def run() -> None:
        rate.update(received())
        while not stopped.wait(INTERVAL_SECONDS):
            now = received()
            line = describe(now, total, verified(), rate.update(now))
            if download.index == 0:
                tell(download, line)
            else:
                log.info("%s", line)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    try:
        yield
    finally:
        stopped.set()
        thread.join()


class Rate:
    """How fast a number of bytes has grown lately."""

    def __init__(self) -> None:
        self._samples: deque[tuple[float, int]] = deque()

    def update(self, received: int) -> float:
        """Return bytes per second over the window that ends now."""
        now = time.monotonic()
        self._samples.append((now, received))
        while now - self._samples[0][0] > RATE_WINDOW_SECONDS:
            self._samples.popleft()
        then, before = self._samples[0]
        return (received - before) / max(now - then, 1e-3)


def describe(received: int, total: int, verified: int, rate: float) -> str:
    """Return a line for people; `rate` is in bytes per second, everything else in bytes."""
    if received >= total:
        return f"Downloaded {binary(total)}, verified {binary(verified)}"
    left = f"{binary(rate)}/s, {duration((total - received) / rate)} left" if rate > 0 else "nothing in the last minute"
    return f"Downloaded {binary(received)} of {binary(total)} ({100 * received // total} %), {left}"


def duration(seconds: float) -> str:
    """Return a duration as precise as an estimate deserves."""
    hours, minutes = divmod(round(seconds / 60), 60)
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min" if minutes else f"{seconds:.0f} s"


def tell(download: DownloadSettings, text: str) -> None:
    """Say it in the log and in the running `pulumi up`."""
    log.info("%s", text)
    show(download, text)


def show(download: DownloadSettings, text: str) -> None:
    """Say it in the running `pulumi up`. A download does not fail for want of that."""
    if download.job and download.job_uid:
        try:
            publish(download, text)
        except in_cluster.ApiError as error:
            log.warning("Not shown by pulumi: %s", error)


def publish(download: DownloadSettings, text: str) -> None:
    """Make or update the Event of this pod. Raises in_cluster.ApiError."""
    events, name = f"/api/v1/namespaces/{download.namespace}/events", f"{download.job}-progress-{download.index}"
    event = JobEvent(
        job=download.job,
        job_uid=download.job_uid,
        namespace=download.namespace,
        reason="Progress",
        message=text,
        component="fetch",
    )
    try:
        in_cluster.request("PATCH", f"{events}/{name}", event.change(), content_type="application/merge-patch+json")
    except in_cluster.ApiError as error:
        if error.status != NOT_FOUND:
            raise
        in_cluster.request("POST", events, event.manifest(name))

"""What every program that downloads is around its work: exit codes, last words, and errors of the volume that pass."""

import logging
import os
import signal
import sys
import time
from collections.abc import Callable
from types import FrameType

import connections
import failure
import model_facts
import planned_sizes
from download_metrics import METRICS
from download_settings import DownloadSettings, from_environment
from failure import Failed, Interrupted, MayPass
from metrics import PORT, tell_metrics
from patience import Patience
from progress import show
from repetition import TRANSIENT

log = logging.getLogger(__name__)

Attempt = Callable[[DownloadSettings], None]
"""Does what is left to do once. Raises Failed, or OSError for the volume's own errors."""

LASTING = 1
"""Exit code that ends the Job: somebody has to change something first."""

MAY_PASS = os.EX_TEMPFAIL
"""Exit code after which the Job starts another pod, a limited number of times."""

QUIET_SECONDS = 600.0
"""After so long without an error of the volume the next one is the first again."""


def main(attempt: Attempt) -> int:
    """Do the work; return the exit code. The reason of a failure is in the log and in the termination message."""
    logging.basicConfig(format="%(asctime)s %(message)s", level=logging.INFO, stream=sys.stdout)
    signal.signal(signal.SIGTERM, stop)
    os.umask(0o002)
    try:
        os.environ.update(connections.variables(os.environ))
        download = from_environment(os.environ)
        if problem := tell_metrics(METRICS.readings, int(os.environ.get("METRICS_PORT", PORT))):
            log.warning("Prometheus is told nothing: %s", problem)
        try:
            run(download, lambda download: done(download, attempt))
        except Failed as reason:
            show(download, str(reason))
            raise
    except Failed as reason:
        log.critical("%s", reason)
        failure.write_termination_message(str(reason))
        return MAY_PASS if isinstance(reason, MayPass) else LASTING
    except Exception as error:
        log.exception("A fault of the program")
        failure.write_termination_message(f"A fault of the download's program: {error!r}. Its log has more.")
        return MAY_PASS
    return 0


def done(download: DownloadSettings, attempt: Attempt) -> None:
    """Make an attempt, compare what is there with the plan, and keep its sizes."""
    attempt(download)
    planned_sizes.compare(download)
    model_facts.keep(download)


def stop(number: int, _: FrameType | None) -> None:
    """End as after an error: transfers are stopped, leases are given back, and the next pod goes on."""
    sys.exit(128 + number)


def run(download: DownloadSettings, attempt: Attempt) -> None:
    """Do what is left to do, again after errors of the volume that may pass. Raises Failed."""
    patience, began = Patience(download), time.monotonic()
    while True:
        try:
            return attempt(download)
        except OSError as error:
            if error.errno not in TRANSIENT:
                raise failure.of_the_volume(error, download.volume) from error
            if time.monotonic() - began > QUIET_SECONDS:
                patience = Patience(download)
            patience.wait(Interrupted(f"the volume at {download.volume}: {error}"))
            began = time.monotonic()

"""How long a pod goes on trying, with pauses that grow."""

import time

from download_metrics import METRICS
from download_settings import DownloadSettings
from failure import Failed, Interrupted, MayPass
from progress import duration, tell

LASTING_SECONDS = 60.0
"""How long a pod tries where the cause will hardly pass. Its Job starts three more: a new name may still reach DNS."""

FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS = 1.0, 120.0


class Patience:
    """Pauses that grow from attempt to attempt, until there was nothing new for too long.

    Once new bytes have come, even a cause that usually lasts is an outage, and has the patience of one.
    """

    def __init__(self, download: DownloadSettings, received: int = 0) -> None:
        self.download = download
        self._attempts, self._received, self._since = 0, received, time.monotonic()
        self._has_moved = False

    def wait(self, why: Interrupted, received: int = 0) -> None:
        """Sleep before the next attempt. Raises Failed when `received`, in bytes, has not grown for too long."""
        now, limit = time.monotonic(), self.download.patience_seconds
        if received > self._received:
            self._attempts, self._received, self._since, self._has_moved = 0, received, now, True
        is_lasting = why.lasting and not self._has_moved
        if is_lasting:
            limit = min(limit, LASTING_SECONDS)
        pause = min(FIRST_PAUSE_SECONDS * 2**self._attempts, LONGEST_PAUSE_SECONDS)
        if now + pause - self._since > limit:
            if is_lasting:
                raise Failed(f"{why} It was so {self._attempts + 1} times within {duration(now - self._since)}.")
            last = str(why).removesuffix(".")
            raise MayPass(
                f"Nothing new came for {limit:.0f} s, at last because of: {last}. The next run goes on from here."
            )
        tell(self.download, f"Interrupted ({why}): next attempt in {pause:.0f} s")
        METRICS.interrupted(lasting=why.lasting)
        self._attempts += 1
        time.sleep(pause)

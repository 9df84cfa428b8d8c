"""What a download tells a Prometheus: how far it is, and how often it was interrupted."""

from collections import Counter
from collections.abc import Callable, Iterator

from metrics import Reading

PASSING, LASTING = "passing", "lasting"


def _nothing() -> int:
    return 0


class DownloadMetrics:
    """Of this pod: its share of the files, and as the pod that finishes everything."""

    def __init__(self) -> None:
        self.interruptions = Counter({PASSING: 0, LASTING: 0})
        self._wanted = 0
        self._received = self._verified = _nothing

    def follow(self, wanted: int, received: Callable[[], int], verified: Callable[[], int]) -> None:
        """Tell from now on what `received` and `verified` return, in bytes of `wanted`."""
        self._wanted, self._received, self._verified = wanted, received, verified

    def interrupted(self, *, lasting: bool) -> None:
        """Count an interruption after which the download tries again."""
        self.interruptions[LASTING if lasting else PASSING] += 1

    def readings(self) -> Iterator[Reading]:
        """Return the metrics as they are now."""
        for what, told, number in (
            ("wanted", "Bytes that this pod is to bring.", self._wanted),
            ("received", "Of these, bytes that are on the volume.", self._received()),
            ("verified", "Of these, bytes whose hash was compared.", self._verified()),
        ):
            yield Reading(f"deepseek_download_{what}_bytes", told, {"": number})
        yield Reading(
            "deepseek_download_interruptions_total",
            "Interruptions after which the download has tried again, by whether the cause will pass by itself.",
            self.interruptions,
            "cause",
        )


METRICS = DownloadMetrics()
"""Those of this process."""

"""What vLLM's output tells of its engine: its life, its work, its end, KV cache, missing files and CUDA errors.

vLLM writes a line of statistics every 10 s. It leaves the line out when nothing was computed in this interval and in
the one before, so the last line before a silence says what the engine was left with (vLLM 0.32, v1/metrics/loggers.py):

    (APIServer pid=7) INFO 11-25 10:00:00 [loggers.py:310] Engine 000: Avg prompt throughput: 0.7 tokens/s,
    Avg generation throughput: 0.1 tokens/s, Running: 1 reqs, Waiting: 0 reqs, GPU KV cache usage: 0.1%
"""

import re
import time
from collections import deque
from dataclasses import dataclass

REMEMBERED_LINES = 400
_STATISTICS = re.compile(
    r"\[loggers\.py:\d+\] (?P<engine>Engine \d+|\d+ Engines Aggregated): "
    r"Avg prompt throughput: (?P<prompt>[\d.]+) tokens/s, Avg generation throughput: (?P<generation>[\d.]+) tokens/s, "
    r"Running: (?P<running>\d+) reqs, Waiting: (?P<waiting>\d+) reqs.* KV cache usage: (?P<cache>[\d.]+)%"
)
_NO_FILES_LEFT = re.compile(r"^OSError: \[Errno 24\]|socket\.accept\(\) out of system resource")

_ENDED = re.compile(r"\[core\.py:\d+\] EngineCore encountered a fatal error\.")
_KV_CACHE = re.compile(r"GPU KV cache size: (?P<tokens>[\d,]+) tokens")
_GPU_ERROR = re.compile(
    r"\(RayWorker\w* pid=\d+(?:, ip=(?P<address>[^)]+))?\).*?(?P<text>CUDA error: (?!out of memory)[^\n]*)"
)
"""What a rank of vLLM 0.32 writes. Ray leaves out the address of workers beside the driver, on the head (2.60)."""


@dataclass(frozen=True)
class GpuError:
    """The first CUDA error of an attempt: the address of the rank's pod, empty for the head's, and vLLM's words."""

    address: str
    text: str


def gpu_error(line: str) -> GpuError | None:
    """Return the CUDA error that a line of vLLM's output tells, if any."""
    found = _GPU_ERROR.search(line)
    return GpuError(found["address"] or "", found["text"].strip()) if found else None


class EngineLog:
    """Reads the lines of one vLLM as they come. Times are on the monotonic clock, minus infinity for never."""

    def __init__(self) -> None:
        self.moved_at = self.no_files_left_at = float("-inf")
        self.kv_cache_tokens: int | None = None
        self.ended_at: float | None = None
        """When an engine first said that an error ends it."""

        self.gpu_error: GpuError | None = None
        """The first one."""

        self._cache: dict[str, str] = {}
        self._left_with: dict[str, int] = {}
        self._seen: deque[str] = deque(maxlen=REMEMBERED_LINES)

    @property
    def has_work(self) -> bool:
        """Whether the last statistics of an engine said that requests run or wait."""
        return any(self._left_with.values())

    def read(self, line: str) -> None:
        """Take in one line. One that was read before is only shown again, after the connection to the log broke."""
        if _NO_FILES_LEFT.search(line):
            self.no_files_left_at = time.monotonic()
        if self.ended_at is None and _ENDED.search(line):
            self.ended_at = time.monotonic()
        self.gpu_error = self.gpu_error or gpu_error(line)
        if cache_size := _KV_CACHE.search(line):
            self.kv_cache_tokens = int(cache_size["tokens"].replace(",", ""))
        found = _STATISTICS.search(line)
        if not found or line in self._seen:
            return
        self._seen.append(line)
        engine, cache = found["engine"], found["cache"]
        computed = float(found["prompt"]) + float(found["generation"]) > 0
        if computed or self._cache.get(engine, cache) != cache:
            self.moved_at = time.monotonic()
        self._cache[engine] = cache
        self._left_with[engine] = int(found["running"]) + int(found["waiting"])

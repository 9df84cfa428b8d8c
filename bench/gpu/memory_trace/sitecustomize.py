"""On PYTHONPATH of a vLLM under test: every process that has PyTorch on a GPU writes what it holds, twice a second.

MEMORY_TRACE names the folder; a file a process, a JSON object a line. Bytes. `pools` are the allocator's segments by
pool, graphs' pools apart from the default one: [reserved, in use].
"""

import json
import os
import sys
import threading
import time
from typing import Any

PERIOD_SECONDS = 0.5
SNAPSHOT_EVERY = 40
"""A look at the pools walks all segments, so it is rare."""


def _pools(torch: Any, device: int) -> dict[str, list[int]]:
    pools: dict[str, list[int]] = {}
    for segment in torch.cuda.memory_snapshot():
        if segment["device"] != device:
            continue
        held = pools.setdefault(str(tuple(segment["segment_pool_id"])), [0, 0])
        held[0] += segment["total_size"]
        held[1] += segment["active_size"]
    return pools


def _watch(folder: str) -> None:
    count = 0
    with open(os.path.join(folder, f"{os.getpid()}.jsonl"), "a") as file:  # noqa: PTH118, PTH123
        while True:
            time.sleep(PERIOD_SECONDS)
            torch = sys.modules.get("torch")
            cuda = getattr(torch, "cuda", None)
            if torch is None or cuda is None or not hasattr(cuda, "is_initialized") or not cuda.is_initialized():
                continue
            try:
                # A thread's own device is the first one, whatever the process works on.
                device = max(range(cuda.device_count()), key=cuda.memory_reserved)
                free, total = cuda.mem_get_info(device)
                stats = cuda.memory_stats(device)
                line: dict[str, Any] = {
                    "time": time.time(),
                    "device": device,
                    "used": total - free,
                    "allocated": stats.get("allocated_bytes.all.current", 0),
                    "allocated_peak": stats.get("allocated_bytes.all.peak", 0),
                    "reserved": stats.get("reserved_bytes.all.current", 0),
                    "reserved_peak": stats.get("reserved_bytes.all.peak", 0),
                    "retries": stats.get("num_alloc_retries", 0),
                }
                if count % SNAPSHOT_EVERY == 0:
                    line["pools"] = _pools(torch, device)
            except Exception as error:  # noqa: BLE001  a look that fails must not disturb what is looked at
                line = {"time": time.time(), "error": str(error)[:200]}
            count += 1
            file.write(json.dumps(line) + "\n")
            file.flush()


if os.environ.get("MEMORY_TRACE"):
    threading.Thread(target=_watch, args=(os.environ["MEMORY_TRACE"],), daemon=True).start()

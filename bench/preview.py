"""How much longer a preview of the article's stack takes than the shortest one that Pulumi could give: `preview_ratio`.

    python -m bench.preview [PAIRS]

The shortest is a program with the same imports and provider and one ConfigMap. Both are whole commands, run in turn
against one simulated cluster; the figure is the median of the ratios pair by pair. Written to bench/results.json.
"""

import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from bench import results
from local import stack
from local.cluster.simulated import simulated_cluster
from local.paths import CHECKOUT

STACK = "a100-bf16"


def main() -> None:
    """Measure, print a table, and add the figure to the results."""
    pairs = int(sys.argv[1]) if len(sys.argv) > 1 else 7
    namespace = stack.configuration(STACK)["kubernetes:namespace"]
    with simulated_cluster() as cluster, tempfile.TemporaryDirectory() as folder:
        cluster.api_server.apply(
            f"/api/v1/namespaces/{namespace}",
            {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}},
        )
        times = {program: list[float]() for program in ("program", "baseline")}
        for _ in range(pairs + 1):
            for program, measured in times.items():
                measured.append(_seconds(program, cluster.kubeconfig, folder))
    counted = {program: measured[1:] for program, measured in times.items()}  # the first warms caches
    ratio = statistics.median(a / b for a, b in zip(counted["program"], counted["baseline"], strict=True))
    for program, measured in counted.items():
        print(f"{program:10} {min(measured):6.2f} {statistics.median(measured):6.2f} {max(measured):6.2f} s")
    print(f"{'ratio':10} {ratio:13.2f}")
    results.add({"preview_ratio": round(ratio, 3)})


def _seconds(program: str, kubeconfig: Path, folder: str) -> float:
    command = [sys.executable, "-B", "-m", "bench.one_preview", program, folder]
    environment = os.environ | {"KUBECONFIG": str(kubeconfig)}
    start = time.monotonic()
    subprocess.run(command, check=True, cwd=CHECKOUT, env=environment, stdout=subprocess.DEVNULL)
    return time.monotonic() - start


if __name__ == "__main__":
    main()

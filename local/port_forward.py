"""Reaches a port of the cluster by `kubectl port-forward`."""

import re
import subprocess
from collections.abc import Generator, Sequence
from contextlib import contextmanager


@contextmanager
def port_forward(kubectl: Sequence[str], target: str, port: int) -> Generator[str]:
    """Have `kubectl port-forward` run in this context; yield the base URL. Raises RuntimeError if it does not start.

    `kubectl` is the command with what it needs to find cluster and namespace; `target` such as `service/deepseek`.
    """
    command = [*kubectl, "port-forward", target, f":{port}"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        try:
            line = process.stdout.readline() if process.stdout else ""
            found = re.search(r"127\.0\.0\.1:(\d+)", line)
            if found is None:
                raise RuntimeError(f"kubectl port-forward: {line.strip() or 'ended at once'}")
            yield f"http://127.0.0.1:{found[1]}"
        finally:
            process.terminate()

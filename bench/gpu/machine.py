"""The machine that is measured: its GPUs, and the versions of what runs on them."""

import importlib.metadata
import subprocess
from typing import Any


def gpus() -> list[dict[str, Any]]:
    """This machine's GPUs as nvidia-smi has them."""
    query = "--query-gpu=name,driver_version,memory.total,memory.used"
    lines = subprocess.run(
        ["nvidia-smi", query, "--format=csv,noheader,nounits"], check=True, capture_output=True, text=True
    ).stdout.splitlines()
    fields = [line.split(", ") for line in lines]
    return [
        {"name": name, "driver": driver, "total_mib": int(total), "used_mib": int(used)}
        for name, driver, total, used in fields
    ]


def versions() -> dict[str, str]:
    """What is measured."""
    return {name: importlib.metadata.version(name) for name in ("vllm", "torch", "ray", "flashinfer-python")}

"""One preview, for bench/preview.py to time: `python -m bench.one_preview program|baseline FOLDER`."""

# pyright: reportUnusedImport=false

import sys
from pathlib import Path

import pulumi
import pulumi_kubernetes as k8s

from local import stack


def baseline() -> None:
    """The same imports, the same provider, one ConfigMap."""
    from components import outputs  # noqa: F401, PLC0415
    from components.image import recipes  # noqa: F401, PLC0415
    from components.model_store import revision_cleanup  # noqa: F401, PLC0415
    from components.preflight import preflight  # noqa: F401, PLC0415
    from components.stack_config import cluster_provider, read_stack_config  # noqa: PLC0415

    provider = cluster_provider(read_stack_config())
    k8s.core.v1.ConfigMap("baseline", data={"a": "b"}, opts=pulumi.ResourceOptions(provider=provider))


if __name__ == "__main__":
    name, folder = sys.argv[1:]
    program = {"program": stack.run_program, "baseline": baseline}[name]
    stack.select("a100-bf16", folder=Path(folder) / name, program=program).preview()

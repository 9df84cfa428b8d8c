"""Asks vLLM's own parser: in a pod of the dev stack, or in an environment that has the CPU image's lock installed."""

import json
import subprocess
from collections.abc import Sequence
from pathlib import Path

from local import boot, dev
from local.paths import CHECKOUT
from planning.flags import data, real_parser
from tests.unit.planning.flags.spellings import spellings

VERDICTS = CHECKOUT / "tests" / "unit" / "planning" / "flags" / "verdicts.json"
TIMEOUT_SECONDS = 300
"""vLLM imports for half a minute on two idle cores."""


def in_pod() -> list[str]:
    """Return the command that runs Python in the worker's pod, which has memory to spare."""
    kubectl = [str(part) for part in boot.kubectl(dev.NAMESPACE)]
    workers = [*kubectl, "get", "pods", "--selector=ray.io/node-type=worker", "--output=name"]
    pod = subprocess.run(workers, check=True, capture_output=True, text=True).stdout.split()[0]
    return [*kubectl, "exec", "-i", pod, "-c", "ray", "--", "python3"]


def asked(python: Sequence[str]) -> dict[Path, str]:
    """Return what the files of flags and verdicts have to be, by that Python's vLLM."""
    program = Path(real_parser.__file__).read_text(encoding="utf-8")
    lists = json.dumps(spellings())
    run = subprocess.run(
        [*python, "-c", program], input=lists, check=True, stdout=subprocess.PIPE, text=True, timeout=TIMEOUT_SECONDS
    )
    found = json.loads(run.stdout.splitlines()[-1])
    verdicts = "".join("0" if flags is None else "1" for flags in found["set"])
    recorded = {"release": json.loads(found["file"])["release"], "verdicts": verdicts}
    return {data.FILE: found["file"], VERDICTS: json.dumps(recorded, indent=2) + "\n"}

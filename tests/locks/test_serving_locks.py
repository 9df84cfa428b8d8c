"""The serving image's locks resolve for their Python and platform: from the index's metadata, no wheel is downloaded.

The CUDA lock is not installed where there is no GPU to use it; this says that it could be. A test that cannot reach an
index fails.
"""

import re
import subprocess
import sys
from pathlib import Path

import pytest

IMAGE = Path(__file__).resolve().parents[2] / "images" / "ray-vllm"
PLATFORM = "x86_64-manylinux_2_35"
VARIANTS = {
    "cpu": ("3.11", ["--overrides", str(IMAGE / "requirements-cpu-overrides.in")]),
    "cuda": ("3.12", list[str]()),
}
TIMEOUT_SECONDS = 180  # 15 s were measured with an empty cache


def pins(lock: str) -> dict[str, set[str]]:
    """Return the hashes of each `name==version`."""
    joined = re.sub(r"(?m)#.*$", "", lock).replace("\\\n", " ")
    return {line.split()[0]: set(line.split()[1:]) for line in joined.splitlines() if line.strip()}


@pytest.mark.parametrize("variant", VARIANTS)
def test_lock_holds_what_its_input_needs_in_wheels_that_are_served(variant: str, tmp_path: Path) -> None:
    python, options = VARIANTS[variant]
    locked = pins((IMAGE / f"requirements-{variant}.txt").read_text())
    constraints = tmp_path / "constraints.txt"
    constraints.write_text("\n".join(locked))

    command = [sys.executable, "-m", "uv", "pip", "compile", "--no-config", "--generate-hashes", "--only-binary=:all:"]
    command += ["--python-version", python, "--python-platform", PLATFORM, "--constraints", str(constraints), *options]
    command += [str(IMAGE / f"requirements-{variant}.in")]
    resolved = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT_SECONDS, check=False)

    assert resolved.returncode == 0, f"the index does not serve the lock (UV_INDEX_URL names it):\n{resolved.stderr}"
    served = pins(resolved.stdout)
    assert served.keys() == locked.keys(), "run `make lock`: the lock lacks a requirement or has one that nothing needs"
    assert {name for name in locked if not locked[name] <= served[name]} == set(), "files that the index does not serve"

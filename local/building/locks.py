"""`make lock`: writes every hash-pinned requirements file from its `.in` file, without addresses."""

import subprocess
import sys
from dataclasses import dataclass, field

from local.paths import CHECKOUT

SERVING = "images/ray-vllm/requirements"
LINUX = "--python-platform=x86_64-manylinux_2_35"
"""glibc of Debian 12 and Ubuntu 22.04, on which the Ray images stand."""


@dataclass(frozen=True)
class Lock:
    """One lock: the path of its files without `.in` and `.txt`, the Python and platform it is for."""

    path: str
    python: str
    options: list[str] = field(default_factory=list[str])


LOCKS = (
    Lock("requirements", "3.11", ["--universal"]),
    Lock("requirements-dev", "3.11", ["--universal"]),
    Lock("images/fetch/requirements", "3.11", [LINUX, "--only-binary=:all:"]),
    Lock("images/fetch/requirements-dev", "3.11", [LINUX, "--only-binary=:all:"]),
    Lock("local/ray-base-requirements", "3.11", [LINUX, "--only-binary=:all:"]),
    Lock(f"{SERVING}-cpu", "3.11", [LINUX, "--only-binary=:all:", f"--overrides={SERVING}-cpu-overrides.in"]),
    Lock(f"{SERVING}-cuda", "3.12", [LINUX, "--only-binary=:all:"]),
)


def main() -> int:
    """Write all of them; return the exit status of the first that fails."""
    for lock in LOCKS:
        print(f"{lock.path}.txt", flush=True)
        command = [sys.executable, "-m", "uv", "pip", "compile", "--quiet", "--no-config", "--generate-hashes"]
        command += ["--no-emit-index-url", "--annotation-style=line", "--custom-compile-command=make lock"]
        command += [f"--python-version={lock.python}", *lock.options]
        command += [f"--output-file={lock.path}.txt", f"{lock.path}.in"]
        status = subprocess.run(command, cwd=CHECKOUT, check=False).returncode
        if status:
            return status
    return 0


if __name__ == "__main__":
    sys.exit(main())

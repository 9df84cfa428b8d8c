"""What a Ray pod looks at before Ray starts; it prints the shell commands that complete the environment of Ray.

Ray hands its environment to vLLM's ranks, and vLLM keeps what a rank has of its own (0.32, `ray_executor_v2.py`). So
each pod may name an interface of its own. Whatever would fail later, or be slow without a word, ends the pod here: its
last line says what is wrong, by the key of the stack file, and the gate repeats it.

Environment: VLLM_HOST_IP (the pod's address), RAY_VERSION; where they apply, NETWORK_INTERFACE, and ON_GPUS and RDMA,
which are `1`.
"""

import os
import pwd
import resource
import shlex
import shutil
import sys
from collections.abc import Iterator, Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import interfaces

GiB = 1024**3
LEAST_MEMLOCK = GiB
"""Assumed: NCCL registers some MiB of host memory a channel and peer. The usual defaults are 64 KiB and 8 MiB."""

CAP_IPC_LOCK = 1 << 14
STATUS = Path("/proc/self/status")
WRITABLE = "/tmp"  # noqa: S108  the pod's own


class UnfitError(Exception):
    """This pod cannot serve; the text says by which key, and what to do."""


def commands(env: Mapping[str, str]) -> list[str]:
    """Return the shell commands to run before Ray starts. Raises UnfitError."""
    check_image(env)
    found = {**network(env), **home()}
    lines = [f"export {name}={shlex.quote(value)}" for name, value in found.items()]
    return [*lines, *memory_lock(env)]


def network(env: Mapping[str, str]) -> dict[str, str]:
    """Return the interface for NCCL and Gloo, and the address that vLLM listens on, which are of one address family."""
    address, interface = env["VLLM_HOST_IP"], env.get("NETWORK_INTERFACE", "")
    listed = ", ".join(interfaces.names())
    if interface and interface not in interfaces.names():
        raise UnfitError(f"network.interface: this pod has no interface '{interface}'; it has {listed}")
    try:
        interface = interface or interfaces.of_address(address)
    except (OSError, ValueError) as error:
        raise UnfitError(f"network.interface: set it, as that of {address} cannot be found: {error}") from None
    if not interface:
        raise UnfitError(f"network.interface: set it, as no interface of this pod has {address}; it has {listed}")
    return {
        "NCCL_SOCKET_IFNAME": interface,
        "GLOO_SOCKET_IFNAME": interface,
        # One socket of :: takes IPv4 too, where there is any.
        "SERVE_ON": "::" if ":" in address else "0.0.0.0",  # noqa: S104  the pod's; NetworkPolicy and key guard it
    }


def home() -> dict[str, str]:
    """Return a home and a name for a user that the image does not know, or whose home it does not let it write."""
    found: dict[str, str] = {}
    if not os.access(Path("~").expanduser(), os.W_OK | os.X_OK):
        found["HOME"] = WRITABLE
    try:
        pwd.getpwuid(os.getuid())
    except KeyError:
        found |= {"USER": "ray", "LOGNAME": "ray"}  # torch asks for a name
    return found


def memory_lock(env: Mapping[str, str]) -> list[str]:
    """Return the command that raises the limit of locked memory to what the node allows. Raises UnfitError.

    RDMA pins memory. Beyond the limit it fails, and NCCL goes over TCP or ends; the capability IPC_LOCK has no effect
    for a user who is not root.
    """
    if not env.get("RDMA"):
        return []
    _, limit = resource.getrlimit(resource.RLIMIT_MEMLOCK)
    if limit != resource.RLIM_INFINITY and limit < LEAST_MEMLOCK and not may_lock(STATUS.read_text()):
        raise UnfitError(
            f"network.rdmaResources: `ulimit -l` is {limit // 1024} KiB in this pod, and RDMA pins more memory than "
            "that: set LimitMEMLOCK=infinity for the container runtime of the node (systemctl edit containerd, or "
            "crio) and restart it"
        )
    return ["ulimit -S -l hard"]


def may_lock(status: str) -> bool:
    """Return whether a process may lock memory beyond its limit, from its /proc/self/status."""
    effective = next(line.split()[1] for line in status.splitlines() if line.startswith("CapEff:"))
    return bool(int(effective, 16) & CAP_IPC_LOCK)


def check_image(env: Mapping[str, str]) -> None:
    """Raise UnfitError with everything that the image lacks (docs/finished-images.md)."""
    if lacks := list(_lacking(env)):
        raise UnfitError(f"image.reference: {'; '.join(lacks)} (docs/finished-images.md says what an image must have)")


def _lacking(env: Mapping[str, str]) -> Iterator[str]:
    for program in ("ray", "vllm"):
        if shutil.which(program) is None:
            yield f"there is no program '{program}' on the PATH, or user {os.getuid()} may not run it"
    wanted, ray = env["RAY_VERSION"], _version("ray")
    if ray != wanted:
        yield f"it has {f'Ray {ray}' if ray else 'no Ray'}, and {wanted} is needed: all Ray nodes are of one version"
    if not _version("vllm"):
        yield "its python3 has no vllm"
    elif env.get("ON_GPUS") and _version("torch").endswith("+cpu"):
        yield "its torch is built for CPUs, and hardware.gpu names a GPU"


def _version(distribution: str) -> str:
    try:
        return version(distribution)
    except PackageNotFoundError:
        return ""


def main() -> None:
    """Print the commands, or end with what is wrong."""
    try:
        print("\n".join(commands(os.environ)))
    except UnfitError as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()

"""Whether the amounts and names that the stack file gives to the Ray pods go together."""

from collections.abc import Iterator

from planning.problems import Changes, Problem, fixable
from planning.settings.quantities import GiB, bytes_of, cpus_of, size_text
from planning.sizing.resolved import ResolvedStack

OWN_MEMORY = 2 * GiB
"""What Ray and vLLM take of a pod's memory beside /dev/shm, at the least; the tiny model's worker takes 2 GiB."""


def memory_holds_shared_memory(stack: ResolvedStack) -> Iterator[Problem]:
    """The pod's memory holds its shared memory too, so the limit of the latter is not above that of the pod."""
    hardware = stack.settings.hardware
    memory, shared = bytes_of(hardware.memory_request), bytes_of(hardware.shared_memory_limit)
    if shared <= memory:
        return
    key = "hardware.sharedMemory" if hardware.shared_memory and not hardware.memory else "hardware.memory"
    chosen = "" if hardware.shared_memory else ", which is chosen from the number of GPUs"
    text = (
        f"the pod's memory, {hardware.memory_request}, holds /dev/shm too, and hardware.sharedMemory is "
        f"{hardware.shared_memory_limit}{chosen}"
    )
    yield fixable(key, text, _enough(key, shared))


def pods_get_something(stack: ResolvedStack) -> Iterator[Problem]:
    """No amount is nothing: vLLM's processes would get no CPU, or no /dev/shm to speak to each other."""
    hardware = stack.settings.hardware
    if hardware.cpu and not cpus_of(hardware.cpu):
        yield fixable("hardware.cpu", f"{hardware.cpu} CPUs are none", {"hardware.cpu": None})
    if hardware.shared_memory and not bytes_of(hardware.shared_memory):
        text = f"{hardware.shared_memory} is no memory, and ranks speak to each other by /dev/shm"
        yield fixable("hardware.sharedMemory", text, {"hardware.sharedMemory": None})


def _enough(key: str, shared: int) -> Changes:
    if key == "hardware.sharedMemory":
        return {"hardware.sharedMemory": None}
    return {"hardware.memory": size_text(shared + OWN_MEMORY)}


POD_CHECKS = (memory_holds_shared_memory, pods_get_something)

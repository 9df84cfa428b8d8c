"""vLLM's CPU platform, placed by Ray.

vLLM 0.32 refuses Ray on CPUs because its CPU platform names no Ray resource to ask for. This one asks for "GPU", the
resource under which Ray counts what `ray start --num-gpus` declares, so that ranks are placed on CPU nodes as they are
on GPU nodes; and it lets ranks in different pods talk over the network. It changes nothing else of the CPU platform.
"""

from vllm.platforms.cpu import CpuPlatform


class CpuOnRay(CpuPlatform):
    """The CPU platform with a Ray resource, for ranks in several pods."""

    ray_device_key = "GPU"

    @classmethod
    def get_device_communicator_cls(cls) -> str:
        """Return the class by which ranks exchange tensors."""
        return "cpu_between_pods.CpuBetweenPods"


def platform() -> str:
    """Return the class to use. vLLM calls it in each of its processes, by the entry point `vllm.platform_plugins`."""
    return f"{CpuOnRay.__module__}.{CpuOnRay.__qualname__}"

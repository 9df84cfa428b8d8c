"""How ranks on CPUs exchange tensors when they may be in different pods.

vLLM 0.32 lets ranks meet in shared memory as soon as they agree on its name, which says nothing of where they run
(vllm#46716). With kernels that have shared memory (those for AVX-512 do), ranks in two pods end with "open shm in
SHMManager failed. errno: 2".
"""

import socket

import torch.distributed
from vllm.distributed.device_communicators.cpu_communicator import CpuCommunicator


class CpuBetweenPods(CpuCommunicator):
    """vLLM's communicator, with shared memory only where all ranks of a group are in one pod."""

    def _all_group_ranks_share_shm_group_name(self) -> bool:
        hosts = [""] * self.world_size
        torch.distributed.all_gather_object(hosts, socket.gethostname(), group=self.device_group)
        return len(set(hosts)) == 1

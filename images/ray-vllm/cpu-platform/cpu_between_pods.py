"""How ranks on CPUs exchange tensors when they may be in different pods, and when they share experts.

vLLM 0.32 lets ranks meet in shared memory as soon as they agree on its name, which says nothing of where they run
(vllm#46716). With kernels that have shared memory (those for AVX-512 do), ranks in two pods end with "open shm in
SHMManager failed. errno: 2".

Data-parallel ranks gather their tokens before the experts of a layer and scatter the sums after them
(`AgRsAll2AllManager` in `device_communicators/all2all.py`), each rank with as many tokens as its requests have. The
two collectives for that raise NotImplementedError in vLLM 0.32 on CPUs.
"""

import socket

import torch
import torch.distributed
from uneven_collectives import all_gather_uneven, reduce_scatter_uneven
from vllm.distributed.device_communicators.cpu_communicator import CpuCommunicator


class CpuBetweenPods(CpuCommunicator):
    """vLLM's communicator with uneven collectives, and shared memory only where all ranks of a group are in one pod."""

    def _all_group_ranks_share_shm_group_name(self) -> bool:
        hosts = [""] * self.world_size
        torch.distributed.all_gather_object(hosts, socket.gethostname(), group=self.device_group)
        return len(set(hosts)) == 1

    def all_gatherv(
        self, input_: torch.Tensor | list[torch.Tensor], dim: int = 0, sizes: list[int] | None = None
    ) -> torch.Tensor | list[torch.Tensor]:
        """Return the rows of all ranks; rank `r` has `sizes[r]` of them, all the same number where that is None."""
        if isinstance(input_, list):
            return [self.all_gatherv(tensor, dim, sizes) for tensor in input_]
        sizes = sizes or [input_.shape[dim]] * self.world_size
        return all_gather_uneven(input_, dim, sizes, self.device_group)

    def reduce_scatterv(self, input_: torch.Tensor, dim: int = -1, sizes: list[int] | None = None) -> torch.Tensor:
        """Return this rank's rows of the sum; rank `r` gets `sizes[r]` of them, all the same number for None."""
        sizes = sizes or [input_.shape[dim] // self.world_size] * self.world_size
        return reduce_scatter_uneven(input_, dim, sizes, self.device_group)

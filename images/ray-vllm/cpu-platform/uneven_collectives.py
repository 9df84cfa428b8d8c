"""Collectives whose ranks hold different numbers of rows, over any backend of torch.distributed.

Gloo's own want as many rows of every rank. Shapes: rank `r` of a group has `sizes[r]` rows along `dim`; all other
dimensions are the same on every rank.
"""

import torch
import torch.distributed as dist


def all_gather_uneven(mine: torch.Tensor, dim: int, sizes: list[int], group: dist.ProcessGroup) -> torch.Tensor:
    """Return the rows of all ranks, `sum(sizes)` of them, in the order of the ranks."""
    rows = mine.movedim(dim, 0).contiguous()
    parts = [rows.new_empty((size, *rows.shape[1:])) for size in sizes]
    parts[dist.get_rank(group)] = rows
    for rank, part in zip(dist.get_process_group_ranks(group), parts, strict=True):
        if part.numel():
            dist.broadcast(part, src=rank, group=group)
    return torch.cat(parts).movedim(0, dim).contiguous()


def reduce_scatter_uneven(whole: torch.Tensor, dim: int, sizes: list[int], group: dist.ProcessGroup) -> torch.Tensor:
    """Return this rank's rows of the sum over all ranks, whose `whole` has `sum(sizes)` rows each.

    Each rank adds up all rows and keeps its own, because Gloo scatters no uneven parts.
    """
    total = whole.clone(memory_format=torch.contiguous_format)
    dist.all_reduce(total, group=group)
    return total.split(sizes, dim)[dist.get_rank(group)].contiguous()

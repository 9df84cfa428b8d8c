"""How vLLM divides layers among pipeline stages."""


def split_layers(layers: int, stages: int) -> list[range]:
    """The layers of each stage (`vllm/distributed/utils.py`, `get_pp_indices`).

    What does not divide goes, one layer each, to the stages before the last, backwards: 61 over 4 is 15, 15, 16, 15.
    """
    each, left_over = divmod(layers, stages)
    sizes = [each] * stages
    for from_the_back in range(2, left_over + 2):
        sizes[-from_the_back] += 1
    ends = [sum(sizes[: stage + 1]) for stage in range(stages)]
    return [range(end - size, end) for size, end in zip(sizes, ends, strict=True)]

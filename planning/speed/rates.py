"""Tokens a second, time to the first token and time for each further one, for a number of requests at once.

Requests come in a closed loop: when one is answered, the next one comes. So in the time in which a request goes through
the engine, the prompts of all the others are worked off too.
"""

from dataclasses import dataclass

from planning.speed.step import Machine
from planning.speed.work import Batch


@dataclass(frozen=True)
class Load:
    """What is asked of the engine, and what it takes at once."""

    prompt_tokens: int
    answer_tokens: int
    max_num_batched_tokens: int
    max_num_seqs: int
    """The limit of one data-parallel rank, as is `max_num_batched_tokens`."""
    kv_cache_tokens: int
    """The tokens that the KV caches of all ranks hold together."""

    def under_way(self, requests: int, ranks: int) -> float:
        """Return how many of `requests` the engine works on at the same time; the others wait."""
        cached = self.kv_cache_tokens / (self.prompt_tokens + self.answer_tokens)
        return max(1.0, min(requests, self.max_num_seqs * ranks, cached))


@dataclass(frozen=True)
class Speed:
    """Of one number of requests at once."""

    output_tokens_per_second: float
    time_to_first_token: float
    """Seconds, of the request in the middle where all come at the same moment."""
    time_per_output_token: float
    """Seconds, prompts of others that are worked off in between included."""


def speed(machine: Machine, load: Load, requests: int) -> Speed:
    """What is predicted."""
    ranks = machine.layout.data_parallel_size
    running = load.under_way(requests, ranks)
    step = decode_step(machine, load, running / ranks)
    prompts = prefill(machine, load, running / ranks)
    own = prefill(machine, load, 1)
    cycle = prompts + load.answer_tokens * step
    waiting = (requests / running - 1) / 2 * cycle
    return Speed(
        output_tokens_per_second=running * load.answer_tokens / cycle,
        time_to_first_token=waiting + max(own, prompts / 2),
        time_per_output_token=(cycle - own) / load.answer_tokens,
    )


def limit(machine: Machine, load: Load, requests: int) -> float:
    """Tokens a second that no program can be faster than on these GPUs in this layout; `machine` is perfect.

    The memory reads weights and KV cache in every step; tensor cores multiply prompts and answers meanwhile; a token
    passes the stages one after the other.
    """
    ranks, depth = machine.layout.data_parallel_size, machine.layout.pipeline_parallel_size
    running = load.under_way(requests, ranks)
    prompts = machine.seconds(_prompts(load, running / ranks * load.prompt_tokens))

    def cycle(groups: float) -> float:
        stages = machine.seconds(_answers(load, running / ranks / groups))
        one_by_one = sum(stage.bound for stage in stages)
        busiest = max(
            max(
                getattr(prompt, part) + load.answer_tokens * groups * getattr(stage, part) for part in ("math", "links")
            )
            for prompt, stage in zip(prompts, stages, strict=True)
        )
        read = groups * max(stage.memory for stage in stages)
        return max(busiest, load.answer_tokens * max(one_by_one, read))

    return running * load.answer_tokens / min(cycle(1), cycle(_groups(running / ranks, depth)))


def decode_step(machine: Machine, load: Load, requests: float) -> float:
    """Seconds until each of these requests of one data-parallel rank has its next token.

    With a pipeline vLLM has as many batches under way as there are stages, where there are requests enough.
    """
    groups = _groups(requests, machine.layout.pipeline_parallel_size)
    batch = _answers(load, requests / groups)
    stages = [stage.total for stage in machine.seconds(batch)]
    hops = (len(stages) - 1) * machine.hop(batch)
    e = machine.efficiency
    once = e.step + e.request * batch.decoding
    return max(sum(stages) + hops + once, groups * (max(stages) + e.request * batch.decoding))


def prefill(machine: Machine, load: Load, requests: float) -> float:
    """Seconds until the prompts of these requests of one data-parallel rank are worked off."""
    tokens = requests * load.prompt_tokens
    chunks = -(-tokens // load.max_num_batched_tokens)
    batch = _prompts(load, tokens / chunks)
    stages = [stage.total for stage in machine.seconds(batch)]
    hops = (len(stages) - 1) * machine.hop(batch)
    return sum(stages) + hops + (chunks - 1) * max(stages) + chunks * machine.efficiency.step


def _groups(requests: float, depth: int) -> float:
    return max(1.0, min(depth, requests))


def _answers(load: Load, requests: float) -> Batch:
    return Batch(decoding=requests, context=load.prompt_tokens + load.answer_tokens / 2)


def _prompts(load: Load, tokens: float) -> Batch:
    return Batch(prefill=tokens, prompt=load.prompt_tokens)

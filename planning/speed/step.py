"""How long one step takes on each stage of the pipeline."""

from dataclasses import dataclass
from functools import cached_property

from planning.sizing.architecture import expert_layers
from planning.sizing.gpus import Rates
from planning.sizing.matrices import BF16
from planning.sizing.pipeline import split_layers
from planning.speed.efficiency import Efficiency
from planning.speed.layout import Layout, Links
from planning.speed.work import Batch, Model, Work, head_work, layer_work

TERA = 1e12


@dataclass(frozen=True)
class Seconds:
    """The seconds that one stage of the pipeline takes for one step, by what takes them."""

    memory: float = 0
    math: float = 0
    links: float = 0
    slowest: float = 0
    """Sum, over the parts of the work, of what each waits for longest: memory or multiplications."""
    added: float = 0
    """Latency of kernels and collectives."""

    @property
    def total(self) -> float:
        """The time as vLLM works: parts of the work, links and latency follow one after another."""
        return self.slowest + self.links + self.added

    @property
    def bound(self) -> float:
        """The physical limit: memory, multiplications and links all work at the same time."""
        return max(self.memory, self.math, self.links)

    def __add__(self, other: "Seconds") -> "Seconds":
        return Seconds(
            self.memory + other.memory,
            self.math + other.math,
            self.links + other.links,
            self.slowest + other.slowest,
            self.added + other.added,
        )

    def times(self, count: int) -> "Seconds":
        """Return the seconds of `count` repetitions of this work."""
        return Seconds(*(count * value for value in (self.memory, self.math, self.links, self.slowest, self.added)))


@dataclass(frozen=True)
class Machine:
    """GPUs with a model on them, at a given efficiency."""

    model: Model
    layout: Layout
    rates: Rates
    links: Links
    efficiency: Efficiency
    eager: bool = False

    @cached_property
    def stages(self) -> list[tuple[int, int, bool]]:
        """Of each stage: dense layers, layers with experts, whether it has the head."""
        experts = expert_layers(self.model.architecture)
        depth = self.layout.pipeline_parallel_size
        split = split_layers(len(experts), depth)
        moe = [sum(experts[layers.start : layers.stop]) for layers in split]
        return [(len(layers) - of, of, layers.stop == len(experts)) for layers, of in zip(split, moe, strict=True)]

    def seconds(self, batch: Batch) -> list[Seconds]:
        """Of each stage. Stages that do the same are worked out once."""
        latency = self._layer_latency(batch)
        dense = self._layer(layer_work(self.model, self.layout, batch, moe=False), latency)
        moe = (
            self._layer(layer_work(self.model, self.layout, batch, moe=True), latency)
            if any(of for _, of, _ in self.stages)
            else Seconds()
        )
        head = self._work(head_work(self.model, self.layout, batch), quantized=False)
        return [dense.times(layers) + moe.times(of) + (head if last else Seconds()) for layers, of, last in self.stages]

    def hop(self, batch: Batch) -> float:
        """Seconds until the next stage has the hidden states and the residual."""
        if self.layout.pipeline_parallel_size == 1:
            return 0
        size = 2 * batch.tokens * self.model.architecture.hidden_size * BF16
        ranks = self.layout.expert_ranks
        remote = self.layout.nodes > 1 and ranks >= self.layout.gpus_per_node
        link = self.links.between_nodes if remote else self.links.in_node
        latency = self.efficiency.remote if remote else self.efficiency.collective
        return latency + size / self.layout.tensor_parallel_size / (link * self.efficiency.links)

    def _layer_latency(self, batch: Batch) -> float:
        e = self.efficiency
        divided = self.layout.decode_context_parallel_size > 1
        of_requests = e.divided_request * batch.decoding if divided else 0
        if self.eager:
            return e.eager_layer + of_requests
        return (e.prompt_layer if batch.prefill else e.layer) + of_requests

    def _layer(self, work: Work, latency: float) -> Seconds:
        return self._work(work, quantized=True) + Seconds(added=latency)

    def _work(self, work: Work, *, quantized: bool) -> Seconds:
        e, bandwidth = self.efficiency, self.rates.memory_gb * 1e9
        bf16 = self.rates.bf16_tflops * TERA * e.math
        fp8 = quantized and self.model.precision == "fp8" and self.rates.fp8_tflops
        rate = fp8 * TERA * e.math if fp8 else bf16
        parts = [
            (work.weights / bandwidth / e.memory, work.weights_flops / rate),
            (work.experts / bandwidth / e.experts_memory, work.experts_flops / rate),
            (work.cache / bandwidth / e.memory, work.attention_flops / bf16),
        ]
        reducing = self._collective(self.layout.tensor_parallel_size, work.reduced, work.collectives)
        exchanging = self._collective(self.layout.expert_ranks, work.exchanged, work.exchanges)
        return Seconds(
            memory=sum(memory for memory, _ in parts),
            math=sum(math for _, math in parts),
            links=reducing[0] + exchanging[0],
            slowest=sum(map(max, parts)),
            added=reducing[1] + exchanging[1],
        )

    def _collective(self, ranks: int, combined: float, count: int) -> tuple[float, float]:
        """Seconds for the bytes, and for their latency.

        A ring sends each byte twice, but for the share that a rank has itself: to add up, or to gather and scatter.
        """
        if not count:
            return 0, 0
        e, within = self.efficiency, ranks <= self.layout.gpus_per_node
        sent = 2 * (ranks - 1) / ranks * combined
        latency = e.collective if within else e.remote
        return sent / (self.links.among(ranks, self.layout) * e.links), count * latency

"""What vLLM reaches of the rates of a GPU, and what it takes in addition."""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Efficiency:
    """Shares of the rates of the data sheets, and seconds."""

    memory: float
    """Share of the memory's bandwidth with which weights and KV cache are read."""
    experts_memory: float
    """The same share for the weights of experts. It is lower, because each expert gets few tokens."""
    math: float
    """Share of the tensor cores' dense rate."""
    links: float
    """Share of the links' bandwidth in collectives."""
    collective: float
    """Seconds of one collective within a node, however small."""
    remote: float
    """Seconds of one message between nodes, however small."""
    layer: float
    """Seconds of one layer in addition: kernels that start and end."""
    eager_layer: float
    """The same without CUDA graphs, where the CPU starts each kernel."""
    step: float
    """Seconds of one step in addition: scheduler, sampling, messages to ranks."""
    request: float
    """Seconds of one step for each request in it."""


ESTIMATED = Efficiency(
    memory=0.80,
    experts_memory=0.70,
    math=0.55,
    links=0.70,
    collective=12e-6,
    remote=40e-6,
    layer=40e-6,
    eager_layer=2.5e-3,
    step=0.3e-3,
    request=8e-6,
)
"""Estimates, fitted to nothing. docs/speed.md compares what they predict with what was measured since."""

PERFECT = Efficiency(
    memory=1,
    experts_memory=1,
    math=1,
    links=1,
    collective=0,
    remote=0,
    layer=0,
    eager_layer=0,
    step=0,
    request=0,
)
"""What physics allows: every rate reached, nothing in addition."""

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
    """Seconds of one layer in addition, in a step of answers alone: kernels that start and end."""
    prompt_layer: float
    """The same in a step with prompts: vLLM has no CUDA graph of a whole such step."""
    eager_layer: float
    """The same where nothing is captured or compiled (`serving.enforceEager`)."""
    step: float
    """Seconds of one step in addition: scheduler, sampling, messages to ranks."""
    request: float
    """Seconds of one step for each request in it."""
    divided_request: float
    """Seconds of one layer for each request in a step, where ranks divide the KV cache: each has the queries of all."""


FITTED = Efficiency(
    memory=0.80,
    experts_memory=0.88,
    math=0.54,
    links=0.70,
    collective=12e-6,
    remote=40e-6,
    layer=40e-6,
    prompt_layer=1.5e-3,
    eager_layer=1.2e-3,
    step=0.69e-3,
    request=8e-6,
    divided_request=1.9e-6,
)
"""`experts_memory`, `math`, `prompt_layer` and `step` are fitted to one row of bench/gpu/rows.json by bench/gpu/fit.py,
`divided_request` to another one, and `eager_layer` is from the times of one request of a third; the others are
estimates. docs/speed.md compares the prediction with these rows and
with those kept aside."""

FITTED_TO = "7 layers in BF16 on 2 H200"
OFF_BY = -0.23, 0.18
"""The least and the most by which predicted tokens/s were off on rows of bench/gpu/rows.json; a test compares it."""

PERFECT = Efficiency(
    memory=1,
    experts_memory=1,
    math=1,
    links=1,
    collective=0,
    remote=0,
    layer=0,
    prompt_layer=0,
    eager_layer=0,
    step=0,
    request=0,
    divided_request=0,
)
"""What physics allows: every rate reached, nothing in addition."""

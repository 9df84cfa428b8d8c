"""The load by which a server becomes warm: the supervisor sends it, and the head's readiness probe counts its tokens.

vLLM compiles some kernels when a batch first needs them. With the dimensions of DeepSeek V3 on two H100 the first 64
requests ran at 9,160 tokens/s, and the next 64 at 16,950 (measured, vLLM 0.32).
"""

from dataclasses import dataclass

SECONDS = 120.0
"""After so long the model serves, warm or not."""


@dataclass(frozen=True)
class WarmLoad:
    """Rounds of requests, each with so many at once; prompts of each length in turn; all answers equally long."""

    at_once: tuple[int, ...]
    prompt_tokens: tuple[int, ...] = (16, 200, 1000)
    answer_tokens: int = 16

    @property
    def tokens(self) -> int:
        """Tokens that all answers have together."""
        return sum(self.at_once) * self.answer_tokens


ON_GPUS = WarmLoad(at_once=(1, 8, 64))
ON_CPUS = WarmLoad(at_once=(4,))
"""Nothing is compiled on CPUs, so that a few requests at once are enough to show that they are answered."""

"""What can be refused of the keys of deepseek:benchmark."""

from collections.abc import Iterator

from planning.problems import Problem
from planning.sizing.resolved import ResolvedStack


def requests_fit_the_model(stack: ResolvedStack) -> Iterator[Problem]:
    """Prompt and answer together are no longer than the longest request."""
    load, deployment = stack.settings.benchmark, stack.deployment
    longest = stack.settings.serving.max_model_len or (deployment.engine.max_model_len if deployment else None)
    tokens = load.input_tokens + load.output_tokens
    if load.enabled and longest and tokens > longest:
        yield Problem(
            "benchmark.inputTokens",
            f"and benchmark.outputTokens are {tokens:,} tokens together, and the longest request is {longest:,}",
            "fewer of them, or a larger serving.maxModelLen",
        )


BENCHMARK_CHECKS = (requests_fit_the_model,)

"""What several engines need, and what of them may be out of service while one is replaced."""

from collections.abc import Iterator

from planning.problems import Problem, fixable
from planning.sizing.resolved import ResolvedStack

ENGINES, MINIMUM, SURGE = "serving.engines", "rollout.minimumServing", "rollout.surge"


def _several_have_the_proxies(stack: ResolvedStack) -> Iterator[Problem]:
    """Clients come to several engines through the proxies alone."""
    settings = stack.settings
    if settings.rollout.surge and not settings.endpoint.proxy:
        text = "the proxies send requests to the new engine when it answers, and the stack has none"
        yield Problem(SURGE, text, "endpoint.proxy: true, or rollout.surge: 0")
    if settings.serving.engines > 1 and not settings.endpoint.proxy:
        text = f"{settings.serving.engines} engines need the proxies, which divide requests among them"
        yield Problem(ENGINES, text, "endpoint.proxy: true, or serving.engines: 1")


def _the_minimum_leaves_one(stack: ResolvedStack) -> Iterator[Problem]:
    """One engine at a time is out of service."""
    serving, minimum = stack.settings.serving, stack.settings.rollout.minimum_serving
    most = stack.settings.most_engines - 1
    if minimum is not None and minimum > most:
        text = f"{minimum} of {serving.engines} engines cannot serve while one of them is replaced"
        yield fixable(MINIMUM, text, {MINIMUM: most})


ROLLOUT_CHECKS = (_several_have_the_proxies, _the_minimum_leaves_one)

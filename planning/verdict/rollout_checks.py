"""What several engines need, and what of them may be out of service while one is replaced."""

from collections.abc import Iterator

from planning.problems import Problem, fixable
from planning.sizing.resolved import ResolvedStack

ENGINES, MINIMUM, SURGE = "serving.engines", "rollout.minimumServing", "rollout.surge"


def _surges_and_several_have_what_they_need(stack: ResolvedStack) -> Iterator[Problem]:
    """Clients come to several engines, and to the second place of one, through the proxies alone."""
    settings = stack.settings
    if settings.rollout.surge and not settings.endpoint.proxy:
        text = "the proxies send requests to the new engine when it answers, and the stack has none"
        yield Problem(SURGE, text, "endpoint.proxy: true, or rollout.surge: 0")
    if settings.rollout.surge and settings.benchmark.enabled:
        text = "the benchmark would measure the new engine and its predecessor, which ends after it, together"
        yield Problem(SURGE, text, "benchmark.enabled: false, or rollout.surge: 0")
    if settings.rollout.surge and settings.storage.other_revisions == "remove":
        text = "the weights of the predecessor would be removed while it serves"
        yield Problem(SURGE, text, "storage.otherRevisions: keep, or rollout.surge: 0")
    if settings.serving.engines > 1 and not settings.endpoint.proxy:
        text = f"{settings.serving.engines} engines need the proxies, which divide requests among them"
        yield Problem(ENGINES, text, "endpoint.proxy: true, or serving.engines: 1")


def _the_minimum_leaves_one(stack: ResolvedStack) -> Iterator[Problem]:
    """One engine at a time is out of service."""
    serving, minimum = stack.settings.serving, stack.settings.rollout.minimum_serving
    most = stack.settings.most_engines - 1
    if minimum is not None and minimum > most:
        text = f"at most {most} can serve while one of {serving.planned_engines} is replaced, and {minimum} are to"
        yield fixable(MINIMUM, text, {MINIMUM: most})


ROLLOUT_CHECKS = (_surges_and_several_have_what_they_need, _the_minimum_leaves_one)

"""What a change does to a stack with several engines, in words: one at a time is replaced, or their number changes."""

from collections.abc import Mapping

from planning.review.parts import CLIENTS, CLUSTER, SERVE
from planning.review.patience import bounds, drain, on_nodes
from planning.review.preview import CREATED, DELETED, REPLACED, Step
from planning.settings.sections import StackSettings


def what_several_engines_do(parts: Mapping[str, Step], settings: StackSettings) -> str:
    """Return it for the changed parts; nothing where one engine says it all.

    Where several engines change, engine 0 stands for them in `parts`.
    """
    serving = [step for part, step in parts.items() if part in {CLUSTER, SERVE}]
    operations = {step.operation for step in serving}
    engine_0 = any(step.name in {CLIENTS, SERVE} for step in serving)
    engines, joining = settings.serving.engines, CLUSTER in parts
    if DELETED in operations and not engine_0:
        return f"**Serving goes on, with fewer engines.** {drain(settings)}".strip()
    if engines < 2:
        return ""
    bound = bounds(settings, joining=joining).replace("gives", "gives each engine", 1)
    if REPLACED in operations:
        least, share = settings.rollout.minimum_of(engines), f"{(engines - 1) / engines:.0%}"
        return (
            f"**Serving goes on, and 1 of {engines} engines at a time is replaced.** Until its model is loaded, the "
            f"others have {share} of the capacity; none is touched unless {least} others serve. "
            f"{drain(settings)}{bound}"
        )
    if CREATED in operations and not engine_0:
        return f"**Serving goes on, and more engines start**{on_nodes(settings)} each. {bound}"
    if CREATED in operations:
        return f"**Serving starts** with {engines} engines{on_nodes(settings)} each; nothing serves yet. {bound}"
    return ""

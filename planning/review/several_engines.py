"""What a change does to a stack with several engines, in words: one at a time is replaced, or their number changes."""

from collections.abc import Collection, Iterable

from planning.review.parts import CLIENTS, CLUSTER, SERVE, SURGE, part_of
from planning.review.patience import bounds, drain, on_nodes
from planning.review.preview import CREATED, DELETED, REPLACED, Step
from planning.settings.sections import StackSettings

FIRST = (CLIENTS, SERVE)
"""RayCluster and serving Job of engine 0; those of the others are numbered."""


def what_several_engines_do(changed: Iterable[Step], settings: StackSettings) -> str:
    """Return it for the changed steps; nothing where one engine says it all."""
    serving = [step for step in changed if part_of(step) in {CLUSTER, SERVE}]
    first = {step.operation for step in serving if step.name.removesuffix(SURGE) in FIRST}
    further = {step.operation for step in serving if step.name.removesuffix(SURGE) not in FIRST}
    engines, joining = settings.serving.engines, any(part_of(step) == CLUSTER for step in serving)
    if DELETED in first and engines:
        return _in_the_other_place(first, settings, others=REPLACED in further)
    if REPLACED in first | further and engines > 1:
        return _in_turn(settings, joining=joining, more=CREATED in further)
    if DELETED in further and DELETED not in first:
        anew = " The first one is replaced while the others still serve." if REPLACED in first else ""
        return f"**Serving goes on, with fewer engines.**{anew} {drain(settings)}".strip()
    if engines < 2 or CREATED not in first | further:
        return ""
    if CREATED in first:
        return (
            f"**Serving starts** with {engines} engines{on_nodes(settings)} each; nothing serves yet. "
            f"{_bounds(settings, joining=joining)}"
        )
    return f"**Serving goes on, and more engines start**{on_nodes(settings)} each. {_bounds(settings, joining=joining)}"


def _in_the_other_place(first: Collection[str], settings: StackSettings, *, others: bool) -> str:
    """Say what becomes of engine 0, of which one place is given up: the program always names one."""
    if CREATED in first:
        made = f"A new engine starts on idle nodes ({settings.hardware.nodes})"
    elif REPLACED in first:
        made = "The engine that an earlier `up` has left beside its predecessor is made anew"
    else:
        return (
            "**Serving goes on.** Of the first engine, what an `up` that failed or was interrupted has left in its "
            f"other place ends. {drain(settings)}"
        ).strip()
    then = " Then the others are replaced, one at a time, while the predecessor serves too." if others else ""
    return (
        f"**Serving goes on.** {made} and answers before its predecessor ends.{then} "
        f"{drain(settings)}{_bounds(settings, joining=True)}"
    )


def _in_turn(settings: StackSettings, *, joining: bool, more: bool) -> str:
    engines = settings.serving.engines
    least, share = settings.rollout.minimum_of(engines), f"{(engines - 1) / engines:.0%}"
    starting = f" Before that, more engines start{on_nodes(settings)} each." if more else ""
    return (
        f"**Serving goes on, and 1 of {engines} engines at a time is replaced.**{starting} Until its model is loaded, "
        f"the others have {share} of the capacity; none is touched unless {least} others serve. "
        f"{drain(settings)}{_bounds(settings, joining=joining)}"
    )


def _bounds(settings: StackSettings, *, joining: bool) -> str:
    return bounds(settings, joining=joining).replace("gives", "gives each engine", 1)

"""How long things may take that a change does, in words, from the bounds of the stack file."""

from planning.settings.quantities import duration_text
from planning.settings.sections import StackSettings


def on_nodes(settings: StackSettings | None) -> str:
    """Return on how many nodes an engine is."""
    if settings is None:
        return ""
    nodes = settings.hardware.nodes
    return f" on {nodes} node{'s' if nodes > 1 else ''}"


def drain(settings: StackSettings | None) -> str:
    """Return how long answers under way have."""
    if settings is None:
        return ""
    return f"Answers under way have {duration_text(settings.rollout.drain_timeout)} to end. "


def bounds(settings: StackSettings | None, *, joining: bool = True) -> str:
    """Return how long an `up` waits for an engine; without `joining` its Ray nodes are there."""
    if settings is None:
        return ""
    load = f"the model {duration_text(settings.serving.load_timeout)} to load"
    nodes = f"the nodes {duration_text(settings.scheduling.join_timeout)} to join and " if joining else ""
    return f"`pulumi up` gives {nodes}{load}."

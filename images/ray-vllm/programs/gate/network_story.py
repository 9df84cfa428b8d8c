"""What the supervisor's log tells of the network proof that it had made before vLLM started."""

from collections.abc import Sequence

from supervisor_log import Event


def measured(story: Sequence[Event]) -> str:
    """Return in one line what was measured, nothing where nothing was."""
    return _last(story, "network", "measured")


def problem(story: Sequence[Event]) -> str:
    """Return what is wrong with the network, a GPU or the proof itself; the model is served all the same."""
    return _last(story, "network", "reason")


def error(story: Sequence[Event]) -> str:
    """Return why RDMA is not used though the pods have devices for it."""
    return _last(story, "network_error", "reason")


def _last(story: Sequence[Event], name: str, field: str) -> str:
    return next((event.fields.get(field, "") for event in reversed(story) if event.name == name), "")

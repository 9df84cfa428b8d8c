"""What a preview's steps do to what serves, in words for whoever has to approve them."""

from collections.abc import Iterable, Mapping

from planning.review.markdown import code
from planning.review.parts import BUILDS, CLAIM, CLIENTS, CLUSTER, DOWNLOAD, GATE, SERVE, SERVICE, part_of
from planning.review.patience import bounds, drain, on_nodes
from planning.review.preview import CREATED, DELETED, REPLACED, SAME, STACK_TYPE, Step
from planning.review.several_engines import what_several_engines_do
from planning.settings.sections import StackSettings


def effects(steps: Iterable[Step], settings: StackSettings | None) -> list[str]:
    """Return a sentence or two for each thing that a reviewer has to know, what serves first."""
    changed = _changed(steps)
    # Where several engines change, engine 0 stands for them.
    engine_0_last = sorted(changed, key=lambda step: step.name in {CLIENTS, SERVE, GATE})
    parts = {part: step for step in engine_0_last if (part := part_of(step))}
    several = settings and what_several_engines_do(changed, settings)
    told = [several or _serving(parts, settings) if changed else "**Nothing changes.**"]
    work = _work(parts)
    if work:
        told.append(f"Before anything that serves is touched, {' and '.join(work)}.")
    for part, sentence in ((SERVICE, _service), (CLAIM, _claim)):
        if part in parts and parts[part].operation in {REPLACED, DELETED}:
            told.append(sentence(parts[part]))
    return told


def changes_something(steps: Iterable[Step]) -> bool:
    """Whether any resource changes, and not only what a newer release of this program says of the same stack."""
    return bool(_changed(steps))


def _changed(steps: Iterable[Step]) -> list[Step]:
    return [step for step in steps if step.operation != SAME and step.type != STACK_TYPE]


def _serving(parts: Mapping[str, Step], settings: StackSettings | None) -> str:
    operations = {part: step.operation for part, step in parts.items()}
    cluster, serve = operations.get(CLUSTER), operations.get(SERVE)
    paused = settings if settings is not None and settings.serving.engines == 0 else None
    if DELETED in {cluster, serve}:
        return _paused(paused) if paused else "**Serving ends.** What serves is deleted."
    if cluster == REPLACED:
        return (
            "**Serving stops.** The RayCluster is replaced: its pods end and free their GPUs, "
            f"Ray starts anew{on_nodes(settings)}, and vLLM loads the model again. {drain(settings)}{bounds(settings)}"
        ).strip()
    if CREATED in {cluster, serve}:
        return f"**Serving starts**{on_nodes(settings)}; nothing serves yet. {bounds(settings)}".strip()
    if serve == REPLACED:
        return (
            "**Serving stops until vLLM has started again.** Ray's nodes stay; vLLM loads the model with its new "
            f"settings. {drain(settings)}{bounds(settings, joining=False)}"
        ).strip()
    if operations.get(GATE) in {REPLACED, CREATED}:
        return "**Serving goes on.** Only the gate is replaced: it asks the served model again."
    return f"**{'Serving is paused' if paused else 'Serving goes on'}.** Nothing that serves is replaced."


def _paused(settings: StackSettings) -> str:
    clients = "requests get HTTP 503" if settings.endpoint.proxy else "requests find nobody behind the Service"
    freed = f" and free their {settings.hardware.gpus} GPUs" if settings.hardware.on_gpus else ""
    return (
        f"**Serving is paused.** vLLM and Ray end{freed}; {clients} until `serving.engines` is 1 again. "
        f"{drain(settings)}Claim, keys, images and Service stay, so that nothing is built or downloaded then."
    )


def _work(parts: Mapping[str, Step]) -> list[str]:
    """What is done in hours and not in seconds; a Job by another name is done before the old one is touched."""
    begun = {part for part, step in parts.items() if step.operation in {CREATED, REPLACED}}
    work: list[str] = []
    images = sorted(part.removeprefix(BUILDS) for part in begun if part.startswith(BUILDS))
    if images:
        names = " and ".join(code(name) for name in images)
        work.append(f"the image{'s' if len(images) > 1 else ''} {names} {'are' if len(images) > 1 else 'is'} built")
    if DOWNLOAD in begun:
        work.append("the weights are downloaded and verified (what the claim has already is not fetched again)")
    return work


def _service(step: Step) -> str:
    return f"The Service is {step.operation}: until there is one again, clients do not reach the model."


def _claim(step: Step) -> str:
    if step.stays:
        return "The old claim stays in the cluster with its weights."
    return "**The claim is deleted, and the weights with it.**"

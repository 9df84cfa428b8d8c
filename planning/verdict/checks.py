"""What can be refused without memory arithmetic. Each check yields the problems that it finds in a stack file."""

import math
from collections.abc import Callable, Iterator

from planning import flags
from planning.problems import Changes, Problem, fixable
from planning.settings.quantities import duration_text, size_text
from planning.settings.sections import Unreadable
from planning.sizing.resolved import ResolvedStack
from planning.sizing.storage import disk_needed, download_seconds
from planning.verdict.attention import attention_problems
from planning.verdict.benchmark_checks import BENCHMARK_CHECKS
from planning.verdict.endpoint_checks import ENDPOINT_CHECKS
from planning.verdict.engine_checks import ENGINE_CHECKS
from planning.verdict.gpu_checks import GPU_CHECKS
from planning.verdict.image_checks import IMAGE_CHECKS
from planning.verdict.layout_checks import LAYOUT_CHECKS
from planning.verdict.model_checks import MODEL_CHECKS
from planning.verdict.monitoring_checks import MONITORING_CHECKS
from planning.verdict.network_checks import NETWORK_CHECKS
from planning.verdict.pod_checks import POD_CHECKS
from planning.verdict.rollout_checks import ROLLOUT_CHECKS
from planning.verdict.site_checks import SITE_CHECKS


def problems_of(stack: ResolvedStack) -> list[Problem]:
    """Everything that the checks find.

    A check that reads a key with a bad value is left out: that key has its problem already.
    """
    return [problem for check in CHECKS for problem in _readable(check, stack)]


def _readable(check: Callable[[ResolvedStack], Iterator[Problem]], stack: ResolvedStack) -> list[Problem]:
    try:
        return list(check(stack))
    except Unreadable:
        return []


def _length_is_the_models(stack: ResolvedStack) -> Iterator[Problem]:
    architecture = stack.architecture
    length = stack.settings.serving.max_model_len
    if architecture and length and length > architecture.max_position_embeddings:
        yield fixable(
            "serving.maxModelLen",
            f"{length} is longer than the model's max_position_embeddings, {architecture.max_position_embeddings}",
            {"serving.maxModelLen": None},
        )


def _claim_is_large_enough(stack: ResolvedStack) -> Iterator[Problem]:
    storage = stack.settings.storage
    if storage.size is None and storage.existing_claim:
        return
    size = stack.repository_bytes
    needed = None if size is None else disk_needed(size)
    suggestion: Changes | None = {"storage.size": size_text(needed)} if needed else None
    if storage.size is None:
        text = "needed for the claim that holds the weights, unless storage.existingClaim names one"
        yield (
            fixable("storage.size", text, suggestion)
            if suggestion
            else Problem("storage.size", text, "the size of the repository")
        )
    elif suggestion and needed and (storage.size_bytes or 0) < needed:
        text = f"{storage.size} is too small: weights and compile caches need {size_text(needed)}"
        yield fixable("storage.size", text, suggestion)


def _download_ends_in_time(stack: ResolvedStack) -> Iterator[Problem]:
    storage, size = stack.settings.storage, stack.repository_bytes
    bandwidth = storage.download_bits_per_second
    if size is None or bandwidth is None or stack.settings.model.folder:
        return
    seconds = download_seconds(size, bandwidth)
    if seconds > storage.download_timeout:
        hours = math.ceil(1.5 * seconds / 3600)
        best, allowed = duration_text(60 * math.ceil(seconds / 60)), duration_text(storage.download_timeout)
        yield Problem(
            "storage.downloadTimeout",
            f"{storage.download_bandwidth} brings the weights in {best} at best, and {allowed} are allowed",
            f"storage.downloadTimeout: {hours}h",
            {"storage.downloadTimeout": hours * 3600},
        )


def _claim_reaches_every_node(stack: ResolvedStack) -> Iterator[Problem]:
    storage = stack.settings.storage
    if storage.access_mode == "ReadWriteMany" or storage.existing_claim:
        return
    nodes, pods = stack.settings.hardware.nodes * stack.settings.most_engines, storage.download_pods
    if nodes > 1 or pods > 1:
        readers = f"{nodes} nodes" if nodes > 1 else f"{pods} download pods"
        yield fixable(
            "storage.accessMode",
            f"{storage.access_mode} serves one node, and there are {readers}",
            {"storage.accessMode": "ReadWriteMany"},
        )


def _flags_are_taken(stack: ResolvedStack) -> Iterator[Problem]:
    yield from flags.problems(stack.settings.serving.extra_args)


def _selector_is_not_empty(stack: ResolvedStack) -> Iterator[Problem]:
    if (
        stack.settings.scheduling.node_selector == {}
        and stack.settings.hardware.on_gpus
        and stack.settings.hardware.gpu_memory_gib is None
    ):
        yield fixable(
            "scheduling.nodeSelector",
            "empty, so that pods planned for one GPU could run on any",
            {"scheduling.nodeSelector": None},
        )


CHECKS: tuple[Callable[[ResolvedStack], Iterator[Problem]], ...] = (
    *MODEL_CHECKS,
    *GPU_CHECKS,
    *LAYOUT_CHECKS,
    _length_is_the_models,
    *POD_CHECKS,
    *SITE_CHECKS,
    *ROLLOUT_CHECKS,
    _claim_is_large_enough,
    _claim_reaches_every_node,
    _download_ends_in_time,
    *IMAGE_CHECKS,
    *ENDPOINT_CHECKS,
    _flags_are_taken,
    attention_problems,
    *ENGINE_CHECKS,
    _selector_is_not_empty,
    *NETWORK_CHECKS,
    *BENCHMARK_CHECKS,
    *MONITORING_CHECKS,
)

"""One model on every GPU of the table, in one node and in several: what to rent or buy."""

from collections.abc import Iterator

from planning.render import table
from planning.settings.quantities import size_text
from planning.settings.sections import StackSettings
from planning.sizing.capacity import Capacity
from planning.sizing.gpus import TABLE, Gpu
from planning.sizing.matrices import Precision
from planning.sizing.parallelism import possible_splits
from planning.sizing.resolved import ResolvedStack
from planning.sizing.storage import disk_needed
from planning.verdict.attention import runs_on
from planning.verdict.layout_checks import LAYOUT_KEYS, split_changes
from planning.verdict.suggestions import FP8_REPOSITORIES, changed

NODES = (1, 2, 3, 4, 6, 8, 12, 16)
HEADING = ["GPU", "weights", "nodes", "GPUs", "fits", "KV tokens", "longest request", "such at once", "disk", "cost/h"]


def comparison(settings: StackSettings) -> str:
    """The table, with the stack's own serving settings and TP as wide as a node.

    For each GPU and precision: the least nodes that hold the weights, the least that hold a request of full length,
    and the next after those.
    """
    rows = [
        row for gpu in TABLE.values() for precision in _precisions(settings) for row in _rows(settings, gpu, precision)
    ]
    return table(HEADING, rows)


def _precisions(settings: StackSettings) -> list[Precision]:
    """Both where there are repositories of both."""
    name = "/".join(settings.model.repository.removesuffix(".git").split("/")[-2:])
    both = {*FP8_REPOSITORIES, *FP8_REPOSITORIES.values()}
    return ["fp8", "bf16"] if name in both else [ResolvedStack(settings).precision]


def _rows(settings: StackSettings, gpu: Gpu, precision: Precision) -> Iterator[list[str]]:
    architecture = ResolvedStack(settings).architecture
    if (precision == "fp8" and not gpu.runs_fp8) or (architecture and not runs_on(architecture, gpu)):
        return
    fitting = 0
    holds_weights = False
    for nodes in NODES:
        capacity = _capacity(settings, gpu, precision, nodes)
        if capacity is None or capacity.kv_cache_tokens == 0:
            continue
        if capacity.fits or not holds_weights:
            yield _row(settings, capacity, nodes)
        holds_weights = True
        fitting += capacity.fits
        if fitting == 2:
            return
    if not holds_weights:
        yield [gpu.product, precision, f"> {NODES[-1]}", *[""] * (len(HEADING) - 3)]


def _capacity(settings: StackSettings, gpu: Gpu, precision: Precision, nodes: int) -> Capacity | None:
    """Return the capacity of `nodes` nodes with this GPU; None where the model does not divide among their GPUs."""
    each = settings.hardware.gpus_per_node if gpu.product == settings.hardware.gpu else gpu.usual_per_node
    hardware: dict[str, object] = {"hardware.gpu": gpu.product, "hardware.gpusPerNode": each, "hardware.nodes": nodes}
    plain: dict[str, object] = {
        "hardware.gpuMemoryGiB": None,
        **dict.fromkeys(LAYOUT_KEYS.values()),
    }
    wanted = changed(settings, {**hardware, **plain, "model.precision": precision})
    splits = possible_splits(ResolvedStack(wanted).architecture, precision, each * nodes, each)
    if not splits:
        return None
    deployment = ResolvedStack(changed(wanted, split_changes(wanted, *splits[0]))).deployment
    return Capacity(deployment) if deployment else None


def _row(settings: StackSettings, capacity: Capacity, nodes: int) -> list[str]:
    deployment, tokens = capacity.deployment, capacity.kv_cache_tokens
    engine, price = deployment.engine, settings.hardware.price_per_gpu_hour
    longest = min(tokens, engine.max_model_len)
    own = deployment.gpu.product == settings.hardware.gpu
    return [
        deployment.gpu.product,
        deployment.precision,
        str(nodes),
        str(engine.gpus),
        "yes" if capacity.fits else "no",
        f"{tokens:,}",
        f"{longest:,}",
        f"{tokens / longest:.1f}",
        size_text(disk_needed(deployment.repository_bytes)),
        f"{engine.gpus * price:,.2f}" if price is not None and own else "",
    ]

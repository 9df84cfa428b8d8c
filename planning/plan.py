"""The plan of a stack: what it needs and holds, and everything that speaks against it."""

from dataclasses import dataclass, field, replace
from functools import cached_property

from planning.layouts.advice import better_layouts
from planning.layouts.found import FoundLayout, layouts
from planning.problems import Problem, describe
from planning.settings.quantities import GB, GiB, duration_text, size_text
from planning.settings.sections import StackSettings
from planning.sizing.capacity import Capacity, Rank
from planning.sizing.resolved import Deployment, ResolvedStack
from planning.sizing.sizes import Sizes
from planning.sizing.storage import disk_needed, download_seconds
from planning.speed.of_stack import prediction_of, why_not
from planning.speed.prediction import TOKENS, Prediction
from planning.verdict.advice import unplanned_flags, warnings
from planning.verdict.checks import problems_of
from planning.verdict.suggestions import alternatives, changed


@dataclass(frozen=True)
class Plan:
    """What a stack needs and holds.

    On CPUs, and where sizes are unknown, there is no memory arithmetic and the numbers are 0.
    """

    sizes: Sizes
    gpus: int
    """Of one engine."""
    nodes: int
    """Of one engine."""
    engines: int = 1
    """How many engines serve; none in a pause."""
    problems: list[Problem] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    ranks: list[Rank] = field(default_factory=list)
    """The pipeline's stages, each standing for all ranks with its layers."""
    deployment: Deployment | None = None
    kv_cache_tokens: int = 0
    """Of the whole stack: data-parallel ranks have a cache each."""
    full_requests: float = 0
    kv_cache_memory_bytes: int | None = None
    """What vLLM is told to give the KV cache of each GPU; None where it finds out by itself."""
    weights_bytes: int = 0
    """All tensors of the repository."""
    disk_bytes: int = 0
    """What a claim needs for one revision and the caches."""
    disk_bytes_for_two: int = 0
    """The same with a second revision beside the one that serves."""
    download_seconds: float | None = None
    cost_per_hour: float | None = None
    """Of one engine."""
    prediction: Prediction | None = None
    """How fast it will be."""
    not_predicted: str = ""
    """Why the speed is not predicted; empty if it is."""
    planned: bool = True
    """Whether the memory of the model is to be planned."""
    stack: ResolvedStack | None = field(default=None, repr=False)
    prompt_tokens: int = TOKENS
    answer_tokens: int = TOKENS
    """Of the requests for which speeds are predicted."""

    @property
    def tensor_parallel_size(self) -> int:
        """Ranks that share each layer."""
        return self.sizes.tensor_parallel_size

    @property
    def pipeline_parallel_size(self) -> int:
        """Stages that the layers are divided into."""
        return self.sizes.pipeline_parallel_size

    @cached_property
    def layouts(self) -> list[FoundLayout]:
        """Those that fit the hardware, best first for `serving.purpose`.

        There are none on CPUs, where sizes are unknown, and where vLLM takes memory that the plan does not follow.
        """
        stack = self.stack
        if stack is None or stack.deployment is None or _is_open(stack, stack.deployment):
            return []
        found = layouts(stack, self.prompt_tokens, self.answer_tokens)
        return found if self.fits else [layout for layout in found if layout.changes]

    @property
    def hints(self) -> list[str]:
        """What a preview says of better layouts."""
        return list(better_layouts(self.layouts, self.stack.settings.serving.purpose)) if self.stack else []

    @property
    def kv_cache_tokens_of_a_rank(self) -> int:
        """Tokens of one data-parallel rank, as its engine reports them."""
        return self.kv_cache_tokens // self.sizes.data_parallel_size

    @property
    def fits(self) -> bool:
        """Whether the stack will run, as far as can be said beforehand."""
        return not self.problems

    def summary(self) -> dict[str, str | int | float]:
        """The stack output `plan`: flat, in serving terms, and stable, so that its diff reads well in a preview."""
        lines: dict[str, str | int | float] = {
            **({"engines": f"{self.engines}, of {self.gpus} GPUs each"} if self.engines > 1 else {}),
            "GPUs": self.gpus * self.engines,
            "parallelism": str(self.sizes),
        }
        if self.deployment and self.ranks:
            per_gpu = [rank.weights_bytes / GiB for rank in self.ranks]
            left = min(self.ranks, key=lambda rank: rank.kv_cache_tokens)
            lines |= {
                "GPU": self.deployment.gpu.product,
                "precision": self.deployment.precision,
                "weights per GPU": f"{max(per_gpu):.1f} GiB",
                "KV cache per GPU": f"{max(0, left.kv_cache_bytes) / GiB:.1f} GiB",
                "KV tokens": f"{self.kv_cache_tokens:,}",
                "longest request": f"{self.deployment.engine.max_model_len:,}",
                "full-length requests at once": round(self.full_requests, 1),
            }
        if not self.planned:
            lines["memory"] = "not planned"
        if self.weights_bytes:
            lines |= {
                "weights": f"{self.weights_bytes / GB:,.0f} GB",
                "disk needed": size_text(self.disk_bytes),
                "disk for two revisions": size_text(self.disk_bytes_for_two),
            }
        if self.download_seconds is not None:
            lines["download at best"] = duration_text(60 * max(1, round(self.download_seconds / 60)))
        if self.cost_per_hour is not None:
            lines["cost an hour"] = round(self.cost_per_hour * self.engines, 2)
        return lines | self.prediction.summary() if self.prediction and self.engines else lines


def make_plan(settings: StackSettings, *, prompt_tokens: int = TOKENS, answer_tokens: int = TOKENS) -> Plan:
    """The plan of well-formed settings. What will not run is in `problems`; nothing is raised.

    Its speed is predicted for requests of so many tokens.
    """
    stack = ResolvedStack(settings)
    problems = problems_of(stack)
    hardware, storage = settings.hardware, settings.storage
    plan = Plan(
        stack.sizes,
        hardware.gpus,
        hardware.nodes,
        settings.serving.engines,
        problems,
        not_predicted=why_not(stack, refused=bool(problems)),
        planned=settings.model.planned or not hardware.on_gpus,
        stack=stack,
        prompt_tokens=prompt_tokens,
        answer_tokens=answer_tokens,
    )
    if hardware.price_per_gpu_hour is not None and hardware.on_gpus:
        plan = replace(plan, cost_per_hour=hardware.price_per_gpu_hour * hardware.gpus)
    size = stack.repository_bytes
    if size is not None:
        bandwidth = storage.download_bits_per_second
        plan = replace(
            plan,
            weights_bytes=size,
            disk_bytes=disk_needed(size),
            disk_bytes_for_two=disk_needed(size, revisions=2),
            download_seconds=download_seconds(size, bandwidth) if bandwidth and not settings.model.folder else None,
        )
    # The arithmetic needs settings that divide; where they do not, those with the problems' own fixes stand in.
    sound = _repaired(stack, problems)
    deployment = sound.deployment if sound else None
    plan = replace(plan, warnings=warnings(stack, deployment))
    if sound is None or deployment is None:
        return plan
    capacity = Capacity(deployment)
    shortfall = capacity.shortfall(length_is_set=sound.settings.serving.max_model_len is not None)
    if shortfall:
        problems = [*problems, _with_alternatives(shortfall, sound.settings, capacity)]
    prediction = None if problems else prediction_of(stack, capacity, prompt_tokens, answer_tokens)
    return replace(
        plan,
        problems=problems,
        ranks=capacity.ranks,
        deployment=deployment,
        kv_cache_tokens=capacity.all_kv_cache_tokens,
        full_requests=capacity.full_requests,
        kv_cache_memory_bytes=None if _is_open(sound, deployment) else capacity.kv_cache_memory_bytes,
        prediction=prediction,
        not_predicted="" if prediction else why_not(stack, refused=bool(problems)),
    )


def predicted_tokens_per_second(
    settings: StackSettings, requests: int, *, prompt_tokens: int, answer_tokens: int
) -> float | None:
    """Return the generated tokens a second, to three digits, of so many requests at once of so many tokens.

    None where the stack does not fit, and for a number of requests that is not predicted.
    """
    prediction = make_plan(settings, prompt_tokens=prompt_tokens, answer_tokens=answer_tokens).prediction
    speed = prediction.speeds.get(requests) if prediction else None
    return float(f"{speed.output_tokens_per_second:.3g}") if speed else None


def _is_open(stack: ResolvedStack, deployment: Deployment) -> bool:
    """Whether vLLM takes memory that the plan does not follow, so that it has to size its KV cache itself."""
    images = deployment.sums is not None and deployment.sums.reads_images
    return images or bool(unplanned_flags(stack.settings))


def _repaired(stack: ResolvedStack, problems: list[Problem]) -> ResolvedStack | None:
    """The stack with the fix of every problem applied; None if a problem that the arithmetic depends on has no fix."""
    settings = stack.settings
    for problem in problems:
        if problem.fix is not None:
            settings = changed(settings, problem.fix)
    repaired = stack if settings is stack.settings else ResolvedStack(settings)
    arithmetic = ("model.", "hardware.", "serving.")
    return None if any(problem.key.startswith(arithmetic) for problem in problems_of(repaired)) else repaired


def _with_alternatives(shortfall: Problem, settings: StackSettings, capacity: Capacity) -> Problem:
    found = list(alternatives(settings, capacity))
    if not found:
        return shortfall
    spelled = [f"{describe(changes)} ({reason})" for changes, reason in found]
    return replace(shortfall, suggestion=", or ".join(spelled), fix=found[0][0])

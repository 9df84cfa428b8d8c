"""What the stack file says about the repository: its folder on the volume, and whether its code may run."""

from collections.abc import Callable, Iterator

from planning.folders import CACHE
from planning.problems import Problem, fixable
from planning.sizing.resolved import ResolvedStack
from planning.verdict.remote_code import code_is_pinned


def _model_has_a_folder_of_its_own(stack: ResolvedStack) -> Iterator[Problem]:
    model = stack.settings.model
    if model.short_name.lower() == CACHE:
        origin = "" if model.name else f", the last part of {model.repository},"
        text = f"'{model.short_name}'{origin} is the folder of the compile caches on the volume"
        yield fixable("model.name", text, {"model.name": f"{model.short_name}-model"})


MODEL_CHECKS: tuple[Callable[[ResolvedStack], Iterator[Problem]], ...] = (
    _model_has_a_folder_of_its_own,
    code_is_pinned,
)

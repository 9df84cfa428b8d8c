"""What the stack file says about the repository: its folder on the volume, and whether its code may run."""

from collections.abc import Callable, Iterator

from planning.folders import ADOPTED, CACHE
from planning.problems import Problem, fixable
from planning.sizing.resolved import ResolvedStack
from planning.verdict.remote_code import code_is_pinned


def _model_has_a_folder_of_its_own(stack: ResolvedStack) -> Iterator[Problem]:
    model = stack.settings.model
    if model.short_name.lower() == CACHE:
        origin = "" if model.name else f", the last part of {model.repository},"
        text = f"'{model.short_name}'{origin} is the folder of the compile caches on the volume"
        yield fixable("model.name", text, {"model.name": f"{model.short_name}-model"})


def _filled_folder_is_on_a_claim(stack: ResolvedStack) -> Iterator[Problem]:
    folder, storage = stack.settings.model.folder, stack.settings.storage
    if folder is None:
        return
    if storage.existing_claim is None:
        text = "is a folder of a claim that exists, and none is named"
        yield Problem("model.folder", text, "storage.existingClaim beside it, or without model.folder")
    if folder.split("/")[0] in (CACHE, ADOPTED):
        yield Problem("model.folder", f"'{folder}' is where the program keeps files of its own", "another folder")
    if storage.other_revisions == "remove":
        text = "remove, and beside a folder that somebody filled there are no revisions of ours"
        yield fixable("storage.otherRevisions", text, {"storage.otherRevisions": None})
    if storage.download_pods > 1:
        text = f"{storage.download_pods}, and one pod reads a folder that is there already"
        yield fixable("storage.downloadPods", text, {"storage.downloadPods": None})


MODEL_CHECKS: tuple[Callable[[ResolvedStack], Iterator[Problem]], ...] = (
    _model_has_a_folder_of_its_own,
    _filled_folder_is_on_a_claim,
    code_is_pinned,
)

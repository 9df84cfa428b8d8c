"""What the stack file says about the repository: its folder on the volume, and whether its code may run."""

import re
from collections.abc import Callable, Iterator

from planning.chat import reasoning_flags, tool_call_flags
from planning.folders import ADOPTED, CACHE
from planning.problems import Changes, Problem, fixable
from planning.release import VLLM
from planning.settings.sources import OCI
from planning.sizing.model_file import BadModelFile, known_model
from planning.sizing.resolved import ResolvedStack
from planning.verdict.remote_code import code_is_pinned

TAG = "[A-Za-z0-9_][A-Za-z0-9._-]{0,127}"
"""OCI Distribution Specification 1.1, "Pulling manifests"."""


def _model_has_a_folder_of_its_own(stack: ResolvedStack) -> Iterator[Problem]:
    model = stack.settings.model
    if model.short_name.lower() == CACHE:
        origin = "" if model.name else f", the last part of {model.repository},"
        text = f"'{model.short_name}'{origin} is the folder of the compile caches on the volume"
        yield fixable("model.name", text, {"model.name": f"{model.short_name}-model"})


def _revision_is_a_tag(stack: ResolvedStack) -> Iterator[Problem]:
    model = stack.settings.model
    if model.source is OCI and not re.fullmatch(TAG, model.revision):
        text = f"{model.revision} is no tag of a registry, which has at most 128 characters and no slash"
        yield Problem("model.revision", text, "a tag, or the digest of the artifact's manifest")


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


def _model_file_is_whole(stack: ResolvedStack) -> Iterator[Problem]:
    model = stack.settings.model
    if not model.planned:
        return
    try:
        known_model(model.repository)
    except BadModelFile as fault:
        text = f"{fault}"
        yield Problem("model.repository", text, f"make model REPOSITORY={model.repository} REVISION={model.revision}")


def _model_is_known(stack: ResolvedStack) -> Iterator[Problem]:
    """The numbers of another architecture are not asked for: only who gave some is told which are missing."""
    model, missing = stack.settings.model, stack.missing_numbers
    if not model.planned or not missing or not stack.settings.hardware.on_gpus:
        return
    text = f"{model.repository} is not a repository whose sizes are known"
    unplanned: Changes = {"model.planned": False}
    if not model.architecture:
        reason = "served without a plan of its memory; or `make model` reads its sizes from its files"
        yield fixable("model.repository", text, unplanned, reason)
        return
    yield Problem(
        "model.architecture",
        f"{text}, and these numbers of its config.json are not given: {', '.join(missing)}",
        "copying them from the repository's config.json, or model.planned: false if it does not have them",
        unplanned,
    )


def _numbers_are_the_architectures(stack: ResolvedStack) -> Iterator[Problem]:
    if not stack.settings.model.planned:
        return
    model, foreign = stack.settings.model, stack.foreign_numbers
    kept = {name: number for name, number in model.architecture.items() if name not in foreign}
    for name in foreign:
        text = f"{model.repository} is of an architecture that does not have this number"
        yield Problem(f"model.architecture.{name}", text, "leaving it out", {"model.architecture": kept})
    if stack.sums is None:
        return
    for name in kept:
        if name != "max_position_embeddings":
            text = f"planning/models has the sizes of {model.repository} from its own files, which have this number"
            yield fixable(f"model.architecture.{name}", text, {"model.architecture": None})


def _parsers_are_known(stack: ResolvedStack) -> Iterator[Problem]:
    serving, repository = stack.settings.serving, stack.settings.model.repository
    for key, wanted, flags, flag in (
        ("serving.toolCalls", serving.tool_calls, tool_call_flags(repository), "--tool-call-parser"),
        ("serving.reasoning", serving.reasoning, reasoning_flags(repository), "--reasoning-parser"),
    ):
        if wanted and not flags:
            text = f"true, and no parser of vLLM is known for {repository}"
            yield fixable(key, text, {key: None}, f"or {flag}=… in serving.extraArgs, if you know one")


def _image_is_new_enough(stack: ResolvedStack) -> Iterator[Problem]:
    """The release of a finished image is its maker's."""
    least = stack.known.least_vllm if stack.known else None
    if least and stack.settings.image.reference is None and _release(least) > _release(VLLM):
        text = f"{stack.settings.model.repository} needs vLLM {least}, and the image that is built has {VLLM}"
        yield Problem("model.repository", text, f"image.reference with an image of your own that has vLLM {least}")


def _release(written: str) -> tuple[int, ...]:
    return tuple(int(part) for part in written.split("."))


MODEL_CHECKS: tuple[Callable[[ResolvedStack], Iterator[Problem]], ...] = (
    _model_file_is_whole,
    _model_is_known,
    _numbers_are_the_architectures,
    _model_has_a_folder_of_its_own,
    _filled_folder_is_on_a_claim,
    _parsers_are_known,
    _image_is_new_enough,
    _revision_is_a_tag,
    code_is_pinned,
)

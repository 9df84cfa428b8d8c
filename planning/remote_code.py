"""Python files of the model's own repository: who decides what runs in the pods that serve."""

from collections.abc import Iterator

from planning.addresses import is_commit
from planning.architecture import KIMI_K2, known_repository
from planning.problems import Problem, fixable
from planning.sections import StackSettings

SHORTEST = "--trust-rem"
"""The shortest spelling of `--trust-remote-code`: argparse takes a flag's beginning unless another flag has it too."""


def trusting_arguments(arguments: list[str]) -> list[str]:
    """Return the arguments that let code of the repository run, in whatever spelling vLLM takes.

    vLLM reads `_` as `-`. An argument that only mentions the flag, such as JSON for another one, counts too.
    """
    return [argument for argument in arguments if _trusts(argument.replace("_", "-").lower())]


def _trusts(argument: str) -> bool:
    return SHORTEST.removeprefix("--") in argument and not argument.startswith("--no-")


def code_is_pinned(settings: StackSettings) -> Iterator[Problem]:
    """Find code that whoever may push to the repository can exchange."""
    arguments, model = settings.serving.extra_args, settings.model
    trusting = trusting_arguments(arguments)
    if not trusting or is_commit(model.revision):
        return
    text = (
        f"{' '.join(trusting)} runs Python files of {model.repository} in the pods that serve, and model.revision "
        f"{model.revision} is not a commit: whoever can push there decides what runs"
    )
    pinned = "model.revision: the full commit whose Python files you have read"
    if _needs_no_code(settings):
        left = [argument for argument in arguments if argument not in trusting]
        reason = f"vLLM has this architecture of its own; or {pinned}"
        yield fixable("serving.extraArgs", text, {"serving.extraArgs": left or None}, reason)
    else:
        yield Problem("serving.extraArgs", text, pinned)


def warnings_of_code(settings: StackSettings) -> Iterator[str]:
    """Say what it means that the repository's code runs, where it is pinned."""
    model = settings.model
    trusting = trusting_arguments(settings.serving.extra_args)
    if not trusting or not is_commit(model.revision):
        return
    needless = " vLLM has this architecture of its own and serves it without." if _needs_no_code(settings) else ""
    yield (
        f"serving.extraArgs: {' '.join(trusting)} runs the Python files of {model.repository} at commit "
        f"{model.revision} in the Ray pods, where they can read the API key, write to the compile cache and use the "
        f"GPUs: read them before you approve this.{needless}"
    )


def _needs_no_code(settings: StackSettings) -> bool:
    """Whether vLLM 0.32 and its transformers have configuration, model and tokenizer of that repository themselves.

    Kimi K2's tokenizer is a Python file of its repository.
    """
    known = known_repository(settings.model.repository)
    return known is not None and known[0] is not KIMI_K2

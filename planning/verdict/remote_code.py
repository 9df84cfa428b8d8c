"""Python files of the model's own repository: who decides what runs in the pods that serve."""

import posixpath
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from planning import flags
from planning.problems import Problem, fixable
from planning.sizing.resolved import ResolvedStack

SHORTEST = "--trust-rem"
"""The shortest spelling of `--trust-remote-code`: argparse takes a flag's beginning unless another flag has it too."""

PLUGIN = re.compile(r"mnt/models/.*\.(?:py|pyc|so)\b", re.DOTALL)
"""A file of the volume that Python imports, such as the value of `--tool-parser-plugin`."""

NAME = re.compile(r"--?[A-Za-z][A-Za-z0-9_.-]*")


@dataclass(frozen=True, kw_only=True)
class Trust:
    """A flag with its values that lets code of the repository run."""

    words: tuple[str, ...]
    is_plugin: bool

    @property
    def name(self) -> str:
        """What to call it. No value is told, because there may be a secret in it."""
        found = NAME.match(self.words[0])
        flag = found[0] if found else "an element without a flag"
        return flag if self.is_plugin or _trusts(flag) else f"trust_remote_code in {flag}"


def trusting_flags(arguments: Sequence[str]) -> list[Trust]:
    """Return the flags that let code of the repository run, in whatever spelling vLLM takes.

    vLLM reads `_` as `-`. A flag whose values only mention it, such as JSON, counts too.
    """
    found: list[Trust] = []
    for words in _flags_with_values(arguments):
        if any(map(_trusts, words)):
            found.append(Trust(words=words, is_plugin=False))
        elif any(map(_imports, words)):
            found.append(Trust(words=words, is_plugin=True))
    return found


def _flags_with_values(arguments: Sequence[str]) -> Iterator[tuple[str, ...]]:
    words: list[str] = []
    for argument in arguments:
        if NAME.match(argument) and words:
            yield tuple(words)
            words = []
        words.append(argument)
    if words:
        yield tuple(words)


def _trusts(word: str) -> bool:
    plain = _unescaped(word).replace("_", "-").lower()
    return SHORTEST.removeprefix("--") in plain and not plain.startswith("--no-")


def _imports(word: str) -> bool:
    return PLUGIN.search(posixpath.normpath(_unescaped(word))) is not None


def _unescaped(word: str) -> str:
    r"""Return the text without JSON's other spellings of characters: `\u005f` is `_`, and `\/` is `/`."""
    return re.sub(r"\\u([0-9A-Fa-f]{4})", lambda found: chr(int(found[1], 16)), word).replace("\\/", "/")


def code_is_pinned(stack: ResolvedStack) -> Iterator[Problem]:
    """Refuse code of the repository at a branch or tag: whoever may push there could exchange it."""
    settings = stack.settings
    arguments, model = settings.serving.extra_args, settings.model
    trusting = trusting_flags(arguments)
    if not trusting or model.is_pinned:
        return
    text = (
        f"{_named(trusting)} runs Python files of {model.repository} in the pods that serve, and model.revision "
        f"{model.revision} is not {model.source.pin}: whoever can push there decides what runs"
    )
    pinned = f"model.revision: {model.source.read}"
    if not _needs_no_code(stack, trusting):
        yield Problem("serving.extraArgs", text, pinned)
    elif flags.problems(arguments):
        # What is left would be shown with what else is refused, and that may be a secret.
        yield Problem("serving.extraArgs", text, f"leaving it out; or {pinned}")
    else:
        trusted = {trust.words for trust in trusting}
        left = [word for words in _flags_with_values(arguments) if words not in trusted for word in words]
        reason = f"vLLM has this architecture of its own; or {pinned}"
        yield fixable("serving.extraArgs", text, {"serving.extraArgs": left or None}, reason)


def warnings_of_code(stack: ResolvedStack) -> Iterator[str]:
    """Say what it means that the repository's code runs, where it is pinned."""
    model = stack.settings.model
    trusting = trusting_flags(stack.settings.serving.extra_args)
    if not trusting or not model.is_pinned:
        return
    needless = " vLLM has this architecture of its own and serves it without."
    yield (
        f"serving.extraArgs: {_named(trusting)} runs the Python files of {model.repository} at "
        f"{model.source.at} {model.revision} in the Ray pods, where they can read the API key, write to the compile "
        "cache and use the GPUs: read them before you approve this."
        f"{needless if _needs_no_code(stack, trusting) else ''}"
    )


def _named(trusting: Sequence[Trust]) -> str:
    return " and ".join(dict.fromkeys(trust.name for trust in trusting))


def _needs_no_code(stack: ResolvedStack, trusting: Sequence[Trust]) -> bool:
    """Whether vLLM 0.32 and its transformers have configuration, model and tokenizer of that repository themselves.

    The tokenizer of Kimi and Moonlight is a Python file of their repositories. What a plugin brings, vLLM need not
    have.
    """
    own_code = stack.known is not None and not stack.known.repository.startswith("moonshotai/")
    return own_code and not any(trust.is_plugin for trust in trusting)

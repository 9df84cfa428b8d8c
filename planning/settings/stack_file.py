"""Reads `Pulumi.<stack>.yaml`: the objects under this project's name, as `pulumi` would hand them to the program."""

from collections.abc import Mapping
from pathlib import Path
from typing import cast

import yaml

from planning.problems import Problem, Refused
from planning.settings.addresses import is_encrypted
from planning.settings.api_keys import NAMED_KEYS
from planning.settings.sources import source_of

PROJECT = "deepseek"
SECRETS = ("apiKey", NAMED_KEYS, "modelToken")
"""Keys of their own beside the objects: encrypted ones inside an object would hide all of it."""


def read(path: Path) -> dict[str, object]:
    """The objects for `planning.parse`.

    Raises Refused for a file that cannot be read, and for secrets in plain text.
    """
    try:
        document: object = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise Refused([Problem(str(path), f"cannot be read: {error.strerror}", _nearby(path))]) from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        mark = getattr(error, "problem_mark", None)
        where = f" in line {mark.line + 1}, column {mark.column + 1}" if mark else ""
        raise Refused([Problem(str(path), f"is not YAML{where}: {getattr(error, 'problem', error)}")]) from None
    config = cast("dict[object, object]", document).get("config") if isinstance(document, dict) else None
    if not isinstance(config, dict):
        raise Refused([Problem(str(path), "has no object `config`", f"config: with keys such as {PROJECT}:model")])
    return _of_this_project(cast("dict[object, object]", config))


def in_plain_text(key: str) -> Problem:
    """What is wrong with a secret that anybody can read."""
    return Problem(key, "is a secret in plain text", f"pulumi config set --secret {key}")


def readable_token(model: object) -> list[Problem]:
    """What is wrong with `modelToken` beside that object `model` of the stack file."""
    repository = cast("dict[str, object]", model).get("repository") if isinstance(model, dict) else None
    if not isinstance(repository, str) or is_encrypted(repository):
        return []
    scheme = f"{repository.partition('://')[0]}://" if "://" in repository else "no https://"
    [safe, *_] = source_of(repository).encrypted
    text = f"is set, and the address in model.repository has {scheme}: a token is sent over {safe} only"
    return [Problem("modelToken", text, f"the repository's {safe} address, or without modelToken")]


def token_of_wrong_form(model: object, token: str) -> list[Problem]:
    """What is wrong with the text of `modelToken` beside that object `model`; the text is not in it."""
    repository = cast("dict[str, object]", model).get("repository") if isinstance(model, dict) else None
    if not isinstance(repository, str) or source_of(repository).takes_token(token):
        return []
    source = source_of(repository)
    return [Problem("modelToken", f"is no {source.token_is}", source.token)]


def _of_this_project(config: Mapping[object, object]) -> dict[str, object]:
    own = {
        str(key).removeprefix(f"{PROJECT}:"): value
        for key, value in config.items()
        if str(key).startswith(f"{PROJECT}:") or ":" not in str(key)
    }
    problems = [in_plain_text(key) for key in SECRETS if key in own and not _is_secret(key, own[key])]
    if "modelToken" in own:
        problems += readable_token(own.get("model"))
    if problems:
        raise Refused(problems)
    return {key: value for key, value in own.items() if key not in SECRETS}


def _is_secret(key: str, value: object) -> bool:
    if key != NAMED_KEYS or _is_encrypted(value) or not isinstance(value, dict):
        return _is_encrypted(value)
    named = cast("dict[str, object]", value)
    return bool(named) and all(map(_is_encrypted, named.values()))


def _is_encrypted(value: object) -> bool:
    return isinstance(value, dict) and list(cast("dict[str, object]", value)) == ["secure"]


def _nearby(path: Path) -> str:
    files = sorted(str(file) for file in path.parent.glob("Pulumi.*.yaml"))
    return " or ".join(files)

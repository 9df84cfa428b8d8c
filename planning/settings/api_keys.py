"""What is wrong with the keys that clients present, without a word of them."""

import re
from collections.abc import Iterator, Mapping
from typing import cast

from planning.problems import Problem

LEAST_KEY_CHARACTERS = 16
"""A shorter API key can be guessed. The server takes no shorter one either (ray-vllm/programs/shared/key_file.py)."""
MOST_KEY_CHARACTERS = 1024

NAME = re.compile(r"[a-z0-9](?:[-a-z0-9]{0,61}[a-z0-9])?")
NAMED_KEYS = "apiKeys"


def problem_of_api_key(key: str, name: str = "apiKey") -> Problem | None:
    """What is wrong with the API key that the stack file has under `name`."""
    found = key.strip()
    suggestion = _command(name)
    if not re.fullmatch(r"[!-~]*", found):
        text = "has spaces or other characters that an HTTP header cannot carry; letters, digits and signs of ASCII can"
        return Problem(name, text, suggestion)
    if len(found) < LEAST_KEY_CHARACTERS:
        return Problem(name, f"is shorter than {LEAST_KEY_CHARACTERS} characters", suggestion)
    if len(found) > MOST_KEY_CHARACTERS:
        return Problem(name, f"is longer than {MOST_KEY_CHARACTERS} characters", suggestion)
    return None


def problems_of_named_keys(
    keys: object, api_key: str | None, *, endpoint: object, serving: object
) -> Iterator[Problem]:
    """Yield what is wrong with `apiKeys` beside `apiKey` and the objects `endpoint` and `serving`, as written."""
    if not isinstance(keys, dict):
        yield Problem(NAMED_KEYS, "must be an object of names and keys", _command(f"{NAMED_KEYS}.NAME"))
        return
    if _has(endpoint, "proxy", wanted=False):
        yield Problem(NAMED_KEYS, "needs the proxies, which know several keys; vLLM knows one", "endpoint.proxy: true")
    if _has(serving, "authentication", wanted="none"):
        yield Problem(NAMED_KEYS, "is set, and serving.authentication is none", "serving.authentication: key")
    seen = {api_key.strip(): "apiKey"} if api_key else {}
    for name, key in cast("dict[object, object]", keys).items():
        if not NAME.fullmatch(str(name)):
            text = f"'{name}' is no name of a key"
            yield Problem(NAMED_KEYS, text, "lower-case letters, digits and -, at most 63, such as team-a")
        elif not isinstance(key, str):
            yield Problem(f"{NAMED_KEYS}.{name}", "must be text", _command(f"{NAMED_KEYS}.{name}"))
        elif problem := problem_of_api_key(key, f"{NAMED_KEYS}.{name}"):
            yield problem
        elif key.strip() in seen:
            yield Problem(
                f"{NAMED_KEYS}.{name}", f"is the same key as {seen[key.strip()]}", _command(f"{NAMED_KEYS}.{name}")
            )
        else:
            seen[key.strip()] = f"{NAMED_KEYS}.{name}"


def problems_of_limited_names(keys: object, endpoint: object) -> Iterator[Problem]:
    """Yield a problem for each name in the object `endpoint` with limits that is none in `apiKeys`, both as written."""
    limits = cast("Mapping[str, object]", endpoint).get("keys") if isinstance(endpoint, dict) else None
    known = {str(name) for name in cast("dict[object, object]", keys)} if isinstance(keys, dict) else set[str]()
    for name in cast("dict[object, object]", limits) if isinstance(limits, dict) else ():
        if str(name) not in known:
            yield Problem(f"endpoint.keys.{name}", f"{NAMED_KEYS} has no such name", _command(f"{NAMED_KEYS}.{name}"))


def _has(section: object, key: str, *, wanted: object) -> bool:
    return isinstance(section, dict) and cast("Mapping[str, object]", section).get(key) == wanted


def _command(key: str) -> str:
    path = f" --path 'deepseek:{key}'" if "." in key else f" {key}"
    return f"openssl rand -hex 32 | pulumi config set --secret{path}"

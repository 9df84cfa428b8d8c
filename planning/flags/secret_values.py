"""Values of `serving.extraArgs` that carry a secret, although their flag is no secret's: in JSON, or in an address."""

import re
from collections.abc import Iterator, Sequence

CALLED = (
    r"(?:[A-Za-z0-9_.-]*[_.-])?(?:api[_-]?key|access[_-]?key|private[_-]?key|password|passwd|secret|credentials?"
    r"|(?:(?:hf|api|auth|access|bearer|session|refresh)[_-]?)token)|token"
)
"""Names of values that are secrets. Tokens of a model, such as `eos_token`, are not secrets."""

IN_JSON = re.compile(rf'"(?:{CALLED})"\s*:\s*"[^"]', re.IGNORECASE)
IN_A_KEY = re.compile(rf"--?[A-Za-z][\w-]*(?:\.[\w-]+)*\.(?:{CALLED})(?:=.|$)", re.IGNORECASE | re.DOTALL)
"""As in `--kv-transfer-config.kv_connector_extra_config.password=x`."""

IN_AN_ADDRESS = re.compile(r"\w://[^\s/@:\"]*:[^\s/@\"]+@")


def places(arguments: Sequence[str]) -> Iterator[int]:
    """The elements, counted from 1, in which a secret stands."""
    for place, argument in enumerate(arguments, start=1):
        if any(pattern.search(argument) for pattern in (IN_JSON, IN_AN_ADDRESS)) or IN_A_KEY.match(argument):
            yield place

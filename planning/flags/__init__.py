"""Flags of `vllm serve` in `serving.extraArgs`, however they are spelled."""

from collections.abc import Sequence

__all__ = ["is_set"]


def is_set(arguments: Sequence[str], name: str) -> bool:
    """Whether the arguments turn the flag on, such as `--trust-remote-code`; the last mention counts."""
    on = False
    for argument in arguments:
        written = argument.partition("=")[0].replace("_", "-")
        if written == name or (len(written) > len("--no-") and name.startswith(written)):
            on = True
        elif written == f"--no-{name.removeprefix('--')}":
            on = False
    return on

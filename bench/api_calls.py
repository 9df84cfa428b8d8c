"""Who asked the API server for what, from its audit log."""

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import Any

PROVIDER, PREFLIGHT = "pulumi-kubernetes/", "OpenAPI-Generator/"
"""How the user agents begin of Pulumi's provider, and of the client that looks at the cluster before anything else."""
NO_PART_OF_A_STACK = {"events"}


@dataclass(frozen=True)
class Call:
    """One request."""

    namespace: str
    """Empty where it is about none."""
    by_up: bool
    """Whether an `up` asked; else one of the cluster's own parts."""
    made: bool
    """Whether it made an object of a stack."""


def read(log: Path, start: int, end: int) -> list[Call]:
    """Return the requests that stand between two bytes of a log, each once."""
    with log.open("rb") as file:
        file.seek(start)
        lines = file.read(end - start).splitlines()
    return list(_calls(json.loads(line) for line in lines))


def _calls(entries: Iterable[dict[str, Any]]) -> Iterator[Call]:
    seen: set[str] = set()
    for entry in entries:
        if entry["auditID"] not in seen:
            seen.add(entry["auditID"])
            yield _call(entry)


def _call(entry: dict[str, Any]) -> Call:
    about = entry.get("objectRef", {})
    created = entry.get("responseStatus", {}).get("code") == HTTPStatus.CREATED and "dryRun=" not in entry["requestURI"]
    return Call(
        namespace=about.get("namespace", ""),
        by_up=entry.get("userAgent", "").startswith((PROVIDER, PREFLIGHT)),
        made=created and "subresource" not in about and about.get("resource") not in NO_PART_OF_A_STACK,
    )

"""Whether the stack's name can be the value of a label, by which the objects of a stack are told from others'."""

import re
from collections.abc import Iterator

import pulumi

from planning.problems import Problem

LABEL = re.compile("[A-Za-z0-9](?:[A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?")
"""Source: kubernetes.io, "Labels and Selectors", "Syntax and character set"."""


def unusable_name() -> Iterator[Problem]:
    """Return a problem for a name that Pulumi takes and Kubernetes refuses."""
    stack = pulumi.get_stack()
    if not LABEL.fullmatch(stack):
        yield Problem(
            "stack",
            f"'{stack}' cannot be a label of Kubernetes: at most 63 characters, with a letter or digit at both ends",
            "`pulumi stack rename` to such a name",
        )

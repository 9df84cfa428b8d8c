"""The dev stack for tests that change it in place. It measures itself in `make dev` and in its own tests only."""

from collections.abc import Mapping
from typing import Any

from pulumi import automation

from local import dev, stack
from local.cluster import cluster

UNMEASURED = {"deepseek:benchmark": {"enabled": False}}


def changed(overrides: Mapping[str, Any] | None = None) -> automation.Stack:
    """Return the dev stack without its benchmark, with these keys in place of those of its file."""
    return stack.select(dev.STACK, cluster.KUBECONFIG, {**UNMEASURED, **(overrides or {})})

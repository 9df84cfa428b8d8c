"""Which part of a stack a resource of a preview is."""

import re

from planning.review.preview import Step

CLUSTER, SERVICE, CLAIM = "RayCluster", "Service", "PersistentVolumeClaim"
SERVE, GATE, DOWNLOAD = "serve", "gate", "download"
CLIENTS = "deepseek"
"""The Service that clients know; others are for proxies and for a Prometheus."""

SURGE = "-surge"
"""How the names of engine 0 end in its second place (components/shared/engine_names.py)."""

BUILDS = "build-"
"""How the names of the Jobs begin that build images."""


def part_of(step: Step) -> str:
    """Return which part of the stack a resource is; empty for those whose change does not touch serving."""
    if step.type.startswith("kubernetes:") and step.kind in {CLUSTER, CLAIM}:
        return step.kind
    if step.kind == SERVICE and step.name == CLIENTS:
        return SERVICE
    if step.kind == "Job" and (step.name == DOWNLOAD or step.name.startswith(BUILDS)):
        return step.name
    of_an_engine = re.fullmatch(rf"({SERVE}|{GATE})(-\d+|{SURGE})?", step.name)
    return of_an_engine[1] if step.kind == "Job" and of_an_engine else ""

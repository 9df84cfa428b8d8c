"""What each container may take of its node: nothing without a bound, but the CPU."""

from typing import Any

import pytest

from planning.settings.quantities import bytes_of
from tests.lint.manifests import of_registrations
from tests.unit.components.registrations import run, stack_file

RESOURCES = ("memory", "ephemeral-storage")
KINDS = {"Job", "Pod"}


def containers(stack: str) -> dict[str, Any]:
    config = stack_file(stack)
    config["deepseek:storage"]["otherRevisions"] = "remove"
    objects = [item.inputs for item in run(config).kubernetes() if "kind" in item.inputs]
    pods = [item["spec"].get("template", item)["spec"] for item in of_registrations(objects) if item["kind"] in KINDS]
    return {container["name"]: container for pod in pods for container in pod["containers"]}


@pytest.mark.parametrize("stack", ["a100-bf16", "dev"])
def test_each_container_asks_for_what_it_needs_and_is_bounded(stack: str) -> None:
    found = containers(stack)
    assert {"ray", "supervisor", "gate", "fetch", "mount", "claim", "removal", "build"} <= found.keys()
    for name, container in found.items():
        resources = container["resources"]
        for resource in RESOURCES:
            asked, limit = (str(resources[kind][resource]) for kind in ("requests", "limits"))
            assert 0 < bytes_of(asked) <= bytes_of(limit), f"{name} {resource}"

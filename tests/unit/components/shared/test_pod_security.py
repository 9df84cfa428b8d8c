"""Which pods satisfy Kubernetes' Pod Security Standard `restricted`, and what the others do that it forbids.

Source: kubernetes.io, "Pod Security Standards". The API server's own judgement is asked before every `up`.
"""

from collections.abc import Iterator
from typing import Any

from tests.unit.components.registrations import Program, run, stack_file

VOLUMES = {"configMap", "csi", "downwardAPI", "emptyDir", "ephemeral", "persistentVolumeClaim", "projected", "secret"}


def offences(pod: dict[str, Any]) -> Iterator[str]:
    yield from (name for name in ("hostNetwork", "hostPID", "hostIPC") if pod.get(name))
    yield from (name for volume in pod.get("volumes", []) for name in volume.keys() - VOLUMES - {"name"})
    of_pod = pod.get("securityContext", {})
    if not of_pod.get("runAsNonRoot") or of_pod.get("runAsUser") == 0:
        yield "root"
    if of_pod.get("seccompProfile") != {"type": "RuntimeDefault"}:
        yield "seccomp"
    for container in [*pod["containers"], *pod.get("initContainers", [])]:
        security = container.get("securityContext", {})
        if security.get("privileged") or security.get("allowPrivilegeEscalation") is not False:
            yield "privileged"
        capabilities = security.get("capabilities", {})
        if capabilities.get("drop") != ["ALL"]:
            yield "capabilities"
        yield from set(capabilities.get("add", [])) - {"NET_BIND_SERVICE"}


def pods(stack: Program) -> Iterator[tuple[str, dict[str, Any]]]:
    for item in stack.kubernetes():
        if item.type.endswith(":Job"):
            yield item.name, item.inputs["spec"]["template"]["spec"]
    spec = stack.one("RayCluster", "deepseek").inputs["spec"]
    for group in (spec["headGroupSpec"], *spec["workerGroupSpecs"]):
        yield "ray", group["template"]["spec"]


def offenders(**network: Any) -> dict[str, set[str]]:
    config = stack_file("a100-bf16") | {"deepseek:network": network}
    config["deepseek:storage"]["otherRevisions"] = "remove"
    found: dict[str, set[str]] = {}
    for name, pod in pods(run(config)):
        found.setdefault(name, set()).update(offences(pod))
    assert len(found) == 9
    return {name: what for name, what in found.items() if what and not name.startswith("build-")}


def test_all_pods_but_the_builds_satisfy_restricted() -> None:
    assert offenders() == {}


def test_the_network_of_the_nodes_takes_ray_pods_out_of_it_and_rdma_does_not() -> None:
    assert offenders(hostNetwork=True, hostNetworkIsTrusted=True) == {"ray": {"hostNetwork"}}
    assert offenders(rdmaResources={"rdma/hca": 1}) == {}

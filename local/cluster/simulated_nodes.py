"""Nodes with GPUs that exist in the API only: kwok plays their kubelets.

The real scheduler places pods on them by their GPU counts and labels. What a pod does there is decided by stages: it is
running and ready at once; a Job's pod completes, unless it serves or has an image of `PLAYED`: its end a test decides.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from local.building.builds import data, program
from local.cluster.api_server import ApiServer, Object
from local.machine import addresses
from local.machine.processes import Daemon, Supervisor

NODES = "/api/v1/nodes"
SIMULATED = ("kwok.x-k8s.io/node", "fake")
STAGES = (
    "node/fast/node-initialize.yaml",
    "node/heartbeat-with-lease/node-heartbeat-with-lease.yaml",
    "pod/fast/pod-ready.yaml",
    "pod/fast/pod-delete.yaml",
)
"""Of kwok's own; its stage for the end of a Job's pod knows no Job that stays."""
LEASE_SECONDS = 40
COMPONENT = '.metadata.labels["app.kubernetes.io/component"]'
IMAGE = ".spec.containers.[].image"
SERVING = "serving"
PLAYED = "played.example.com/"
"""How images begin whose program somebody else plays."""
GPU_MEMORY_MIB = 81920

_COMPLETED_STATUS = """\
{{ $now := Now }}
phase: Succeeded
containerStatuses:
{{ range .spec.containers }}
{{ $told := "" }}
{{ range .env }}{{ if eq .name "REFERENCE" }}{{ $told = print "image " .value }}{{ end }}{{ end }}
- name: {{ .name | Quote }}
  image: {{ .image | Quote }}
  ready: false
  started: false
  restartCount: 0
  state:
    terminated:
      exitCode: 0
      reason: Completed
      startedAt: {{ $now | Quote }}
      finishedAt: {{ $now | Quote }}
      message: {{ $told | Quote }}
{{ end }}
"""
"""A build tells what it has built, as its program would."""


def complete_jobs() -> Object:
    """The stage that ends running pods of Jobs with success, but not the serving one's and those played elsewhere."""
    conditions: Sequence[tuple[str, str, list[str]]] = (
        (".metadata.deletionTimestamp", "DoesNotExist", []),
        (".status.phase", "In", ["Running"]),
        (".metadata.ownerReferences.[].kind", "In", ["Job"]),
        (COMPONENT, "NotIn", [SERVING]),
        (f'{IMAGE} | startswith("{PLAYED}")', "NotIn", ["true"]),
    )
    return {
        "apiVersion": "kwok.x-k8s.io/v1alpha1",
        "kind": "Stage",
        "metadata": {"name": "pod-complete"},
        "spec": {
            "resourceRef": {"apiGroup": "v1", "kind": "Pod"},
            "selector": {
                "matchExpressions": [
                    {"key": key, "operator": operator, **({"values": values} if values else {})}
                    for key, operator, values in conditions
                ]
            },
            "next": {"statusTemplate": _COMPLETED_STATUS},
        },
    }


def gpu_node(name: str, *, product: str, gpus: int) -> Object:
    """A node as NVIDIA's operator labels one, with room for anything beside its GPUs."""
    resources = {"cpu": "192", "memory": "2Ti", "ephemeral-storage": "4Ti", "pods": "110", "nvidia.com/gpu": str(gpus)}
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {
            "name": name,
            "annotations": dict([SIMULATED]),
            "labels": {
                "kubernetes.io/hostname": name,
                "kubernetes.io/os": "linux",
                "kubernetes.io/arch": "amd64",
                "nvidia.com/gpu.present": "true",
                "nvidia.com/gpu.product": product,
                "nvidia.com/gpu.count": str(gpus),
                "nvidia.com/gpu.memory": str(GPU_MEMORY_MIB),
            },
        },
        "status": {"capacity": resources, "allocatable": resources},
    }


@dataclass(frozen=True, kw_only=True)
class SimulatedNodes:
    """kwok, and the nodes it plays."""

    folder: Path
    api_server: ApiServer
    kubeconfig: Path
    port: int
    nodes: Sequence[Object]
    more_stages: Sequence[Mapping[str, object]] = ()

    def ensure(self, daemons: Supervisor) -> bool:
        """Have kwok running and all nodes ready; says whether kwok had to be started."""
        for node in self.nodes:
            self.api_server.create(NODES, node)
        return daemons.ensure(self._kwok())

    def _ready(self) -> bool:
        ready = 0
        for node in self.api_server.request("GET", NODES)["items"]:
            conditions = node["status"].get("conditions", ())
            ready += any(condition["type"] == "Ready" and condition["status"] == "True" for condition in conditions)
        return ready >= len(self.nodes)

    def _kwok(self) -> Daemon:
        stages = self.folder / "stages.yaml"
        return Daemon(
            name="kwok",
            command=(
                str(program("kwok")),
                f"--kubeconfig={self.kubeconfig}",
                f"--config={stages}",
                f"--manage-nodes-with-annotation-selector={'='.join(SIMULATED)}",
                f"--server-address=127.0.0.1:{self.port}",
                f"--node-lease-duration-seconds={LEASE_SECONDS}",
                f"--cidr={addresses.SIMULATED_PODS}",
                f"--node-ip={addresses.SIMULATED_NODE}",
            ),
            files={stages: self._stages()},
            ready=self._ready,
        )

    def _stages(self) -> str:
        theirs = [(data("kwok-stages") / name).read_text() for name in STAGES]
        ours = [json.dumps(stage) for stage in (complete_jobs(), *self.more_stages)]
        return "\n---\n".join([*theirs, *ours])

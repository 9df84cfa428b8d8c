"""The KubeRay operator: a process beside the API server, with its custom resource definitions created first.

The definition of RayCluster is KubeRay's own. The operator also looks for RayJobs and RayServices, which nothing here
makes: their definitions, of a megabyte each, would triple the API server's work at its start (13 s of CPU time in place
of 4, measured), so stand-ins without a schema do.
"""

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path

from local.building.builds import data, program
from local.cluster.api_server import ApiServer, Object
from local.machine import addresses, probes
from local.machine.processes import Daemon, Supervisor

DEFINITIONS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
GROUP = "ray.io"
VERSION = f"/apis/{GROUP}/v1"
SERVED_SECONDS = 60.0
STAND_INS = ("RayJob", "RayService")


class NotServed(Exception):
    """The API server has taken a definition and does not serve its objects."""


def stand_in(kind: str, group: str = GROUP) -> Object:
    """The definition of a kind that may hold anything."""
    singular = kind.lower()
    anything = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{singular}s.{group}"},
        "spec": {
            "group": group,
            "scope": "Namespaced",
            "names": {"kind": kind, "listKind": f"{kind}List", "singular": singular, "plural": f"{singular}s"},
            "versions": [
                {
                    "name": "v1",
                    "served": True,
                    "storage": True,
                    "schema": {"openAPIV3Schema": anything},
                    "subresources": {"status": {}},
                }
            ],
        },
    }


@dataclass(frozen=True, kw_only=True)
class RayOperator:
    """An operator for every namespace of one cluster."""

    folder: Path
    api_server: ApiServer
    kubeconfig: Path
    health_port: int = addresses.RAY_OPERATOR_HEALTH_PORT
    metrics_port: int = addresses.RAY_OPERATOR_METRICS_PORT

    def ensure(self, daemons: Supervisor) -> bool:
        """Have the definitions served and the operator running; says whether anything had to be done."""
        created = self._ensure_definitions()
        return daemons.ensure(self._daemon()) or created

    def _ensure_definitions(self) -> bool:
        theirs = (data("kuberay-crds") / f"{GROUP}_rayclusters.yaml").read_text()
        definitions = {
            f"rayclusters.{GROUP}": theirs.removeprefix("---\n"),
            **{f"{kind.lower()}s.{GROUP}": json.dumps(stand_in(kind)) for kind in STAND_INS},
        }
        version = hashlib.sha256("".join(definitions.values()).encode()).hexdigest()
        created = self.folder / "ray-definitions"
        if created.exists() and created.read_text() == version:
            return False
        for name, definition in definitions.items():
            # Creating takes the API server a fraction of the time that applying does.
            if self.api_server.create(DEFINITIONS, definition) is None:
                self.api_server.apply(f"{DEFINITIONS}/{name}", definition)
        # An operator that starts earlier looks again only after 10 s.
        if not probes.wait_until(lambda: self._served() >= definitions.keys(), SERVED_SECONDS):
            missing = ", ".join(sorted(definitions.keys() - self._served()))
            raise NotServed(f"the API server does not serve {missing} {SERVED_SECONDS:.0f} s after their definition")
        created.write_text(version)
        return True

    def _served(self) -> set[str]:
        """The kinds that clients are told of, by the names of their definitions."""
        kinds = self.api_server.get(VERSION) or {"resources": []}
        return {f"{resource['name']}.{GROUP}" for resource in kinds["resources"]}

    def _daemon(self) -> Daemon:
        return Daemon(
            name="ray-operator",
            command=(
                str(program("ray-operator")),
                f"--kubeconfig={self.kubeconfig}",
                "--enable-leader-election=false",
                f"--health-probe-bind-address=127.0.0.1:{self.health_port}",
                f"--metrics-addr=127.0.0.1:{self.metrics_port}",
            ),
            ready=lambda: probes.healthy(self.health_port, "/readyz"),
        )

"""The stage in which a simulated kubelet cannot pull an image."""

from typing import Any

from local.cluster.simulated_nodes import IMAGE

ABSENT = "absent.example.com"
"""A registry that has no image."""


def pull_fails() -> dict[str, Any]:
    """Return the stage in which the kubelet cannot pull an image of `ABSENT`."""
    message = 'Back-off pulling image \\"{{ .image }}\\": not found'
    unready = "containers with unready status: [{{ (index .spec.containers 0).name }}]"
    status = f"""
conditions:
- {{type: Initialized, status: "True"}}
- {{type: Ready, status: "False", reason: ContainersNotReady, message: "{unready}"}}
- {{type: ContainersReady, status: "False", reason: ContainersNotReady, message: "{unready}"}}
containerStatuses:
{{{{ range .spec.containers }}}}
- name: {{{{ .name | Quote }}}}
  image: {{{{ .image | Quote }}}}
  ready: false
  started: false
  restartCount: 0
  state: {{waiting: {{reason: ImagePullBackOff, message: "{message}"}}}}
{{{{ end }}}}
"""
    waiting = [
        {"key": ".metadata.deletionTimestamp", "operator": "DoesNotExist"},
        {"key": ".status.phase", "operator": "In", "values": ["Pending"]},
        {"key": f'{IMAGE} | startswith("{ABSENT}/")', "operator": "In", "values": ["true"]},
    ]
    return {
        "apiVersion": "kwok.x-k8s.io/v1alpha1",
        "kind": "Stage",
        "metadata": {"name": "pull-fails"},
        "spec": {
            "resourceRef": {"apiGroup": "v1", "kind": "Pod"},
            "selector": {"matchExpressions": waiting},
            "weight": 1,  # goes before kwok's own stage, in which the pod runs
            "next": {"statusTemplate": status},
        },
    }


STAGES = [pull_fails()]

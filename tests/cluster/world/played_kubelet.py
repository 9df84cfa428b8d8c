"""Tests that play the kubelet: on simulated nodes no program runs, so a test ends pods as their programs would."""

import threading
import time
from collections.abc import Callable
from typing import Any

from pulumi import automation

from local.cluster.api_server import ApiServer
from tests.cluster.world.stack_objects import NAMESPACE

CORE = f"/api/v1/namespaces/{NAMESPACE}"


def pending_pods(api: ApiServer, job_prefix: str) -> list[dict[str, Any]]:
    """Return the pods of Jobs whose name begins so, as long as no kubelet has them."""
    return [
        pod
        for pod in api.request("GET", f"{CORE}/pods")["items"]
        if pod["metadata"]["labels"].get("batch.kubernetes.io/job-name", "").startswith(job_prefix)
        and pod["status"]["phase"] == "Pending"
    ]


def end_pod(api: ApiServer, pod: dict[str, Any], message: str = "") -> None:
    """Let a pod end as its kubelet would; with a termination message it has failed."""
    container = pod["spec"]["containers"][0]
    ended = {"exitCode": 1 if message else 0, "reason": "Error" if message else "Completed", "message": message}
    status = {"name": container["name"], "image": container["image"], "imageID": "", "ready": False, "restartCount": 0}
    api.update_status(
        f"{CORE}/pods/{pod['metadata']['name']}",
        {
            "phase": "Failed" if message else "Succeeded",
            "conditions": [
                {"type": "PodScheduled", "status": "True"},
                {"type": "Initialized", "status": "True"},
                {"type": "Ready", "status": "False", "reason": "PodFailed" if message else "PodCompleted"},
                {"type": "ContainersReady", "status": "False", "reason": "PodFailed" if message else "PodCompleted"},
            ],
            "containerStatuses": [{**status, "state": {"terminated": ended}}],
        },
    )


class Up(threading.Thread):
    """An `up` that goes on while a test plays the kubelet."""

    def __init__(self, selected: automation.Stack) -> None:
        super().__init__(daemon=True)
        self.selected, self.error, self.output = selected, "", ""

    def run(self) -> None:
        """Run the update; what it prints and its error, if any, are kept as text."""
        try:
            self.output = self.selected.up().stdout
        except automation.CommandError as error:
            self.error = str(error)

    def play(self, step: Callable[[], None]) -> str:
        """Call `step` every half second until `up` has ended; return its error."""
        self.start()
        while self.is_alive():
            step()
            time.sleep(0.5)
        return self.error

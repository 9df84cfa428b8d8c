"""Waits until a pod has mounted the claim; fails after a bounded time, and says which claim, why, and what to do.

    python3 -m claim

A pod that waits for its volume cannot tell why. This one mounts nothing, reads what the claim, the pods and their
Job's events say, and in the end stops that Job, for which `up` would wait longer. While that Job is suspended (Kueue,
or another that sets spec.suspend or a scheduling gate), no time counts, and it moves the bound of its own Job.

Environment: CLAIM, MOUNT_JOB (whose pod mounts it), CLAIM_JOB (the name of its own Job), POD_NAMESPACE,
TIMEOUT_SECONDS. Its service account gets the claim, lists pods and events in its namespace, gets and patches MOUNT_JOB
and CLAIM_JOB.
"""

import logging
import os
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass

import failure
import in_cluster
import kube_objects
from failure import Failed
from kube_objects import KubeObject
from own_deadline import OwnDeadline
from progress import duration
from suspension import Stopwatch, suspended_by

log = logging.getLogger(__name__)

POLL_SECONDS = 3.0
MOST_EVENTS = 3
MESSAGE_CHARACTERS = 500
PREPARING = ("", "ContainerCreating", "PodInitializing")


@dataclass(frozen=True, kw_only=True)
class ClaimCheck:
    """Which claim is looked at, who mounts it, and for how long."""

    claim: str
    mount_job: str
    namespace: str
    timeout_seconds: float
    deadline: OwnDeadline

    def wait(self) -> None:
        """Return once a pod has the volume. Raises Failed after `timeout_seconds` in which no queue held it back."""
        stopwatch, said = Stopwatch(), ""
        while True:
            suspended = ""
            try:
                look = self.look()
                if look.is_mounted:
                    log.info("claim %s is mounted", self.claim)
                    return
                suspended = suspended_by([("Job", look.job)], look.pods)
                text = suspended or look.explanation()
            except in_cluster.ApiError as error:
                text = f"could not be looked at: {error}"
            stopwatch.stop(stopped=bool(suspended))
            if suspended and (problem := self.deadline.move(stopwatch.stopped)):
                log.warning("%s", problem)
            if text != said:
                said = text
                log.info("%s", text)
            if stopwatch.counted > self.timeout_seconds and not suspended:
                waited = duration(self.timeout_seconds)
                raise Failed(f"claim {self.claim} could not be mounted within {waited} (storage.mountTimeout): {text}")
            time.sleep(POLL_SECONDS)

    def stop_mounting(self) -> None:
        """End the Job that mounts the claim: its own bound comes later than the one of this program."""
        bound = {"spec": {"activeDeadlineSeconds": 1}}
        try:
            in_cluster.request("PATCH", self._job_path, bound, content_type="application/merge-patch+json")
        except in_cluster.ApiError as error:
            log.warning("%s goes on until its own bound: %s", self.mount_job, error)

    def look(self) -> "Look":
        """Return what the API server knows now. Raises in_cluster.ApiError."""
        core = f"/api/v1/namespaces/{self.namespace}"
        query = f"labelSelector=batch.kubernetes.io/job-name={self.mount_job}"
        pods = kube_objects.read_list(f"{core}/pods?{query}")
        events = [event for event in kube_objects.read_list(f"{core}/events") if self._is_about_us(event)]
        claim = kube_objects.read(f"{core}/persistentvolumeclaims/{self.claim}")
        return Look(claim, in_cluster.request("GET", self._job_path), pods, events)

    @property
    def _job_path(self) -> str:
        return f"/apis/batch/v1/namespaces/{self.namespace}/jobs/{self.mount_job}"

    def _is_about_us(self, event: KubeObject) -> bool:
        about = event["involvedObject"]
        if about.get("kind") == "PersistentVolumeClaim":
            return about.get("name") == self.claim
        ours = about.get("kind") in ("Pod", "Job") and str(about.get("name")).startswith(self.mount_job)
        return ours and event.get("type") == "Warning"


@dataclass(frozen=True)
class Look:
    """Claim, the Job that mounts it, pods and events at one moment; `claim` is None where there is none."""

    claim: KubeObject | None
    job: KubeObject
    pods: Sequence[KubeObject]
    events: Sequence[KubeObject]

    @property
    def is_mounted(self) -> bool:
        """Whether a pod runs, or has run: the kubelet starts no container before its volumes are mounted."""
        return any(
            "running" in state or "terminated" in state
            for pod in self.pods
            for container in pod.get("status", {}).get("containerStatuses", ())
            for state in (container.get("state", {}),)
        )

    @property
    def is_bound(self) -> bool:
        """Whether the claim has a volume."""
        return self.claim is not None and self.claim.get("status", {}).get("phase") == "Bound"

    def explanation(self) -> str:
        """Return the claim's state, what was said of it and of its pods, and what to do."""
        events = kube_objects.last_of_each_reason(self.events, "kind")[-MOST_EVENTS:]
        told = [_told(event) for event in events] + self._waiting()
        return "; ".join([self._state(), *(told or ["nobody has said anything about it"]), self._advice()])

    def _state(self) -> str:
        if self.claim is None:
            return "there is no such claim"
        spec = self.claim["spec"]
        modes, size = (
            "/".join(spec.get("accessModes", ())),
            spec.get("resources", {}).get("requests", {}).get("storage"),
        )
        kind = f"class {spec.get('storageClassName') or 'of the cluster'}, {modes}, {size}"
        return f"it is {self.claim.get('status', {}).get('phase', 'new')} ({kind})"

    def _waiting(self) -> list[str]:
        reasons = [
            container["state"]["waiting"]
            for pod in self.pods
            for container in pod.get("status", {}).get("containerStatuses", ())
            if "waiting" in container.get("state", {})
        ]
        return [
            f"container: {reason['reason']}: {_short(reason.get('message'))}"
            for reason in reasons
            if reason.get("reason", "") not in PREPARING
        ]

    def _advice(self) -> str:
        if self.claim is None:
            return "create it, or take deepseek:storage.existingClaim out of the stack file"
        if self.is_bound:
            return "the volume is there: what the pod waits for is with the nodes, the image, or mounting itself"
        name, namespace = self.claim["metadata"]["name"], self.claim["metadata"]["namespace"]
        return (
            f"set deepseek:storage.storageClass to a class that gives {_modes(self.claim)}, or see to it that the "
            "provisioner of this one runs; delete the pending claim with: "
            f"kubectl -n {namespace} delete persistentvolumeclaim {name}"
        )


def _modes(claim: KubeObject) -> str:
    return "/".join(claim["spec"].get("accessModes", ()))


def _told(event: KubeObject) -> str:
    kind = {"PersistentVolumeClaim": "claim", "Pod": "pod", "Job": "Job"}[event["involvedObject"]["kind"]]
    return f"{kind}: {event.get('reason')}: {_short(event.get('message'))}"


def _short(text: object) -> str:
    one_line = " ".join(str(text or "no message").split()).rstrip(".")
    return one_line if len(one_line) <= MESSAGE_CHARACTERS else one_line[: MESSAGE_CHARACTERS - 1] + "…"


def main() -> int:
    """Return the exit code; the reason of a failure is in the log and in the termination message."""
    logging.basicConfig(format="%(asctime)s %(message)s", level=logging.INFO, stream=sys.stdout)
    check = ClaimCheck(
        claim=os.environ["CLAIM"],
        mount_job=os.environ["MOUNT_JOB"],
        namespace=in_cluster.namespace(),
        timeout_seconds=float(os.environ["TIMEOUT_SECONDS"]),
        deadline=OwnDeadline(os.environ["CLAIM_JOB"]),
    )
    try:
        check.wait()
    except Failed as reason:
        log.critical("%s", reason)
        failure.write_termination_message(str(reason))
        check.stop_mounting()
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())

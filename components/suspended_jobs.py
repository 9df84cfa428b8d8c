"""Jobs that wait in a queue: told during an `up`, and this time does not count against their bounds.

A Job that Kueue or another suspends has no pods that could tell it, so the program itself looks. Kubernetes stops the
bound of a suspended Job, but not that of one whose pods a scheduling gate holds: that one is moved. Pulumi waits for
a Job much longer than its bound, because of the queues; so a Job that nobody ends at its bound is told too.
"""

# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# The Kubernetes client's answers have no types.

import asyncio
import contextvars
import threading
import time
from collections.abc import Iterator
from typing import cast

import pulumi
from kubernetes import client
from kubernetes.client.exceptions import ApiException

from components.shared.cluster_api import TIMEOUT_SECONDS, UnreachableError, connected
from components.shared.labels import INSTANCE, NAME, labels
from components.stack_config import StackConfig
from images.shared.suspension import KubeObject, Stopwatch, gates_of, is_suspended, suspended_by
from planning.settings.quantities import duration_text

LOOK_SECONDS = 15.0
AHEAD_SECONDS = 600
"""How much further a bound is moved than needed by then, so that a look may fail a few times."""

OVERDUE_SECONDS = 300
"""How long after its bound a Job may take to end: its pods get a grace period first."""

JOBS, PODS = ("/apis/batch/v1", "jobs"), ("/api/v1", "pods")
JOB_NAME = "batch.kubernetes.io/job-name"
BOUND = "activeDeadlineSeconds"


def tell_of_suspended_jobs(config: StackConfig) -> None:
    """Look at the stack's Jobs every 15 s while this program runs, and tell which are suspended; not in a preview.

    It must not ask Pulumi's engine whether it is still there. With the Automation API this process goes on after the
    `up`, and gRPC remembers an address at which nobody answered: the next `up` whose engine gets the same port would
    fail with `Connection refused` (grpcio 1.85, subchannels are shared by all channels of a process).
    """
    if pulumi.runtime.is_dry_run():
        return
    context, program = contextvars.copy_context(), asyncio.get_running_loop()
    threading.Thread(target=context.run, args=(look_on, config, program), daemon=True).start()


def look_on(config: StackConfig, program: asyncio.AbstractEventLoop) -> None:
    """Look and tell until the event loop in which Pulumi runs the program has ended."""
    build_namespace = config.settings.image.build_namespace
    namespaces = dict.fromkeys([config.namespace, build_namespace or config.namespace])
    looks = [SuspendedJobs(namespace) for namespace in namespaces]
    time.sleep(LOOK_SECONDS)
    while program.is_running():
        told = _told(config, looks)
        if program.is_running():
            for text in told:
                pulumi.log.info(text)
        time.sleep(LOOK_SECONDS)


def _told(config: StackConfig, looks: list["SuspendedJobs"]) -> list[str]:
    try:
        with connected(config.kubeconfig, config.context) as api:
            return [text for look in looks for text in look.look(api)]
    except UnreachableError:
        return []  # other parts of the program report that the API server cannot be reached


class SuspendedJobs:
    """What is known of the stack's Jobs in one namespace, from one look to the next."""

    def __init__(self, namespace: str) -> None:
        self._namespace = namespace
        self._said: dict[str, str] = {}
        self._stopwatches: dict[str, Stopwatch] = {}
        self._bounds: dict[str, int] = {}
        """As they were before they were moved, by the Job's name."""
        self._overdue: set[str] = set()

    def look(self, api: client.ApiClient) -> Iterator[str]:
        """Return what there is to tell since the last look, and move the bounds of Jobs whose pods a gate holds."""
        jobs, pods = (_listed(api, f"{place}/namespaces/{self._namespace}/{kind}") for place, kind in (JOBS, PODS))
        for job in jobs:
            if BOUND in job["spec"] and not _has_ended(job):
                name = str(job["metadata"]["name"])
                held = [pod for pod in pods if pod["metadata"]["labels"].get(JOB_NAME) == name and any(gates_of(pod))]
                yield from self._of_job(name, suspended_by([("Job", job)], held))
                if held and not is_suspended(job):
                    yield from self._move(api, job)
                yield from self._of_overdue(name, int(job["spec"][BOUND]))

    def _of_job(self, name: str, by: str) -> Iterator[str]:
        stopwatch = self._stopwatches.setdefault(name, Stopwatch())
        stopwatch.stop(stopped=bool(by))
        before, self._said[name] = self._said.get(name, ""), by
        if by and by != before:
            yield f"{by}; waiting until it goes on, and this time does not count"
        elif before and not by:
            yield f"Job {name} goes on; it was suspended for {duration_text(round(stopwatch.stopped))}"

    def _of_overdue(self, name: str, bound: int) -> Iterator[str]:
        if name not in self._overdue and self._stopwatches[name].counted > bound + OVERDUE_SECONDS:
            self._overdue.add(name)
            yield (
                f"Job {name} has not ended {duration_text(OVERDUE_SECONDS)} after its bound of {duration_text(bound)}, "
                "and nothing suspends it: look whether the cluster's Job controller (kube-controller-manager) runs; "
                "Ctrl-C ends this `up`, and the next one goes on"
            )

    def _move(self, api: client.ApiClient, job: KubeObject) -> Iterator[str]:
        name, bound = str(job["metadata"]["name"]), int(job["spec"][BOUND])
        needed = self._bounds.setdefault(name, bound) + int(self._stopwatches[name].stopped)
        if bound >= needed + AHEAD_SECONDS / 2:
            return
        change = {"spec": {BOUND: needed + AHEAD_SECONDS}}
        try:
            _asked(api, "PATCH", f"{JOBS[0]}/namespaces/{self._namespace}/{JOBS[1]}/{name}", change)
        except ApiException as error:
            yield f"Job {name}: its bound of {bound} s could not be moved: {error.status} {error.reason}"


def _listed(api: client.ApiClient, path: str) -> list[KubeObject]:
    ours = ",".join(f"{key}={value}" for key, value in labels("").items() if key in (INSTANCE, NAME))
    return _asked(api, "GET", f"{path}?labelSelector={ours}")["items"]


def _asked(api: client.ApiClient, method: str, path: str, change: KubeObject | None = None) -> KubeObject:
    """Return an object as the API server gives it. Raises ApiException."""
    kinds = {"Accept": "application/json", "Content-Type": "application/merge-patch+json"}
    request = api.param_serialize(method, path, header_params=kinds, body=change, auth_settings=["BearerToken"])
    response = api.call_api(*request, _request_timeout=TIMEOUT_SECONDS)
    response.read()
    return cast("KubeObject", api.response_deserialize(response, {"200": "object"}).data)


def _has_ended(job: KubeObject) -> bool:
    conditions: list[KubeObject] = (job.get("status") or {}).get("conditions") or []
    return any(item["type"] in ("Complete", "Failed") and item["status"] == "True" for item in conditions)

"""Why a model is not served (yet): what is wrong with pods, RayCluster, serving Job and vLLM, from one look at them.

Some findings hardly pass by themselves. Each of those has a patience of its own, after which the gate gives up. The
others may take as long as the whole wait.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import serving_events
from cluster_state import State, part, parts
from kube_objects import KubeObject, last_seen
from planned_nodes import PlannedNodes
from supervisor_log import Event

UNLIMITED = float("inf")
MISSING_SECONDS = 120.0  # for an operator to react, for a Job to appear
NOT_CREATED_SECONDS = 180.0  # for a quota or an admission policy to let a pod through
WAITING_SECONDS = {  # how long a container may wait for this reason; the kubelet tries pulls and crashes again
    "InvalidImageName": 0.0,
    "ErrImageNeverPull": 0.0,
    "ErrImagePull": 300.0,
    "ImagePullBackOff": 300.0,
    "CreateContainerConfigError": 180.0,
    "CreateContainerError": 180.0,
    "RunContainerError": 180.0,
    "CrashLoopBackOff": 300.0,
}
ORDINARY_WAITING = ("ContainerCreating", "PodInitializing")
TRIED_AGAIN = ("FailedCreate", "FailedToCreateHeadPod", "FailedToCreateWorkerPod")  # by Job controller and KubeRay
INVALID = ("InvalidRayClusterSpec", "InvalidRayClusterMetadata")  # KubeRay says it once
MOST_FAILED_SUPERVISORS = 3
SAID_ELSEWHERE = ("FailedScheduling", "BackOff", "Unhealthy", "Failed", serving_events.FAILED)  # by pods, and the log
MESSAGE_CHARACTERS = 600
MOST_NAMES = 4
_POD_ID = re.compile(r" pod=\S+")
_PREEMPTION = re.compile(r"(?: no new claims to deallocate,)? preemption: .*")  # the scheduler's afterthought


@dataclass(frozen=True)
class Finding:
    """Something that keeps the model from being served.

    `about` stays the same as long as it lasts, however its text changes; `patience` is in seconds. `pod` is set where
    it is about one pod of several that may be in the same trouble.
    """

    about: str
    text: str
    patience: float = UNLIMITED
    pod: str = ""


def findings(state: State, planned: PlannedNodes, join_timeout: float) -> list[Finding]:
    """Return everything that is wrong, the most telling first. Ray nodes may take `join_timeout` seconds to join."""
    found = [*_of_vllm(state.story), *_of_cluster(state), *_of_job(state)]
    for pod in state.ray_pods:
        found += _of_pod(pod, join_timeout)
    if state.supervisor_pod:
        found += _of_pod(state.supervisor_pod, join_timeout)
    found += _of_warnings(state, planned)
    return found + [Finding(text, f"could not be read: {text}") for text in state.unreadable]


def told(found: Iterable[Finding]) -> list[str]:
    """Return the text of each finding once, with the names of all pods that it is about."""
    pods: dict[str, list[str]] = {}
    for finding in found:
        pods.setdefault(finding.text, []).extend([finding.pod] if finding.pod else [])
    return [f"{_listed(names)}{text}" for text, names in pods.items()]


def progress(state: State, planned: PlannedNodes) -> str:
    """Return in one line how far it has got."""
    placed = _placed(state)
    running = sum(1 for pod in state.ray_pods if part(pod, "status").get("phase") == "Running")
    gpus = f"{placed * planned.gpus_per_node} of {planned.gpus} GPUs"
    line = f"of {planned.count} Ray pods {placed} are placed ({gpus}) and {running} run"
    line += f"; Ray nodes joined: {_joined(state, planned)}"
    if not state.story:
        return f"{line}; the supervisor has not said anything yet"
    last = state.story[-1]
    detail = next((last.fields[name] for name in ("missing", "reason", "answer") if name in last.fields), "")
    return f"{line}; supervisor: {last.name} {_short(detail)}" if detail else f"{line}; supervisor: {last.name}"


def missing_gpus(state: State, planned: PlannedNodes) -> str:
    """Return how many GPUs the Ray pods wait for, nothing when they have theirs or there are no pods at all."""
    placed = _placed(state)
    if not state.ray_pods or placed >= planned.count:
        return ""
    return f"{(planned.count - placed) * planned.gpus_per_node} of {planned.gpus} GPUs are missing"


def have_joined(story: Sequence[Event]) -> bool:
    """Tell whether the planned Ray nodes are there: the supervisor has got past waiting for them."""
    names = ("started", "waiting", "joined", "submitted", "took_over", "loading", "serving", "failed")
    last = next((event for event in reversed(story) if event.name in names), None)
    return last is not None and last.name not in ("started", "waiting") and last.fields.get("kind") != "nodes"


def _placed(state: State) -> int:
    return sum(1 for pod in state.ray_pods if part(pod, "spec").get("nodeName"))


def _joined(state: State, planned: PlannedNodes) -> str:
    if have_joined(state.story):
        return f"{planned.count} of {planned.count}"
    said = next((event.fields["nodes"] for event in reversed(state.story) if "nodes" in event.fields), "")
    return said.replace("/", " of ") or "not known"


def _of_vllm(story: Iterable[Event]) -> Iterable[Finding]:
    failures = [event for event in story if event.name == "failed" and event.fields.get("kind") != "nodes"]
    if failures:
        last = failures[-1]
        times = f", {last.number('same')} times the same" if last.number("same") > 1 else ""
        yield Finding("vllm", f"vLLM failed after {last.number('after')} s{times}: {last.fields.get('reason')}")


def _of_cluster(state: State) -> Iterable[Finding]:
    if state.cluster is None:
        if not state.unreadable:
            yield Finding("cluster", "the RayCluster does not exist", MISSING_SECONDS)
        return
    status = part(state.cluster, "status")
    if not status and not any(event["involvedObject"].get("kind") == "RayCluster" for event in state.warnings):
        text = "KubeRay's operator does not react to the RayCluster: it is down, or does not watch this namespace"
        text += " (kubectl get pods -A -l app.kubernetes.io/name=kuberay-operator)"
        yield Finding("operator", text, MISSING_SECONDS)
    for condition in parts(status, "conditions"):
        if condition["type"] == "ReplicaFailure" and condition["status"] == "True":
            reason = str(condition.get("reason"))
            said = _short(condition.get("message")).removeprefix(reason).lstrip()  # KubeRay begins with it
            text = f"RayCluster: {reason}: {said}"
            yield Finding("replicas", text, NOT_CREATED_SECONDS if _were_refused(state) else UNLIMITED)
    if status.get("reason"):
        yield Finding("cluster status", f"RayCluster {status.get('state', '')}: {_short(status['reason'])}")


def _of_job(state: State) -> Iterable[Finding]:
    if state.job is None and not state.unreadable:
        yield Finding("job", "the serving Job does not exist", MISSING_SECONDS)
    for condition in parts(state.job, "status", "conditions"):
        if condition["type"] in ("Failed", "FailureTarget") and condition["status"] == "True":
            text = f"the serving Job has failed: {condition.get('reason')}: {_short(condition.get('message'))}"
            yield Finding("job", text, 0)
    failed = part(state.job, "status").get("failed", 0)
    if failed >= MOST_FAILED_SUPERVISORS and not state.story:
        yield Finding("supervisors", f"the supervisor itself cannot run: {failed} of its pods have failed", 0)


def _of_pod(pod: KubeObject, join_timeout: float) -> Iterable[Finding]:
    name, status = pod["metadata"]["name"], part(pod, "status")
    for condition in parts(status, "conditions"):
        if condition["type"] == "PodScheduled" and condition["status"] == "False":
            why = _PREEMPTION.sub("", _short(condition.get("message")))
            yield Finding(f"{name} scheduling", f"not scheduled: {why}{_wish(pod)}", join_timeout, name)
    for container in parts(status, "initContainerStatuses") + parts(status, "containerStatuses"):
        yield from _of_container(name, container)
    if status.get("phase") == "Failed":
        why = status.get("message") or status.get("reason") or _exits(status)
        yield Finding(f"{name} failed", f"failed: {_short(why)}", pod=name)


def _of_container(pod_name: str, container: KubeObject) -> Iterable[Finding]:
    waiting, ended = part(container, "state", "waiting"), part(container, "lastState", "terminated")
    reason = str(waiting.get("reason", ""))
    if not reason or reason in ORDINARY_WAITING:
        return
    message = _POD_ID.sub("", _short(waiting.get("message")))
    text = f"container {container['name']}: {reason}: {message}"
    if ended:
        text += f"; it ended with exit code {ended['exitCode']}: {_short(ended.get('message') or ended.get('reason'))}"
    kind = "image" if "Image" in reason else reason  # ErrImagePull and ImagePullBackOff take turns
    yield Finding(f"{pod_name} {kind}", text, WAITING_SECONDS.get(reason, UNLIMITED), pod_name)


def _of_warnings(state: State, planned: PlannedNodes) -> Iterable[Finding]:
    """Return what warnings tell, the latest first; those about pods that run by now are past."""
    running = {pod["metadata"]["uid"] for pod in state.ray_pods if part(pod, "status").get("phase") == "Running"}
    pods_lack = len(state.ray_pods) < planned.count or state.supervisor_pod is None
    for event in reversed(state.warnings):
        about, reason = event["involvedObject"], str(event.get("reason", ""))
        if reason not in SAID_ELSEWHERE and about.get("uid") not in running:
            patience = NOT_CREATED_SECONDS if pods_lack and _is_refusal(event, state.since) else UNLIMITED
            text = f"{about.get('kind')} {about.get('name')}: {reason}: {_short(event.get('message'))}"
            yield Finding(f"{about.get('uid')} {reason}", text, patience)


def _were_refused(state: State) -> bool:
    """Tell whether pods were refused since the wait began, or may have been: the Events cannot be read."""
    return bool(state.unreadable) or any(_is_refusal(event, state.since) for event in state.warnings)


def _is_refusal(event: KubeObject, since: str) -> bool:
    """Tell whether a pod was refused since then.

    After each refusal KubeRay 1.6 waits twice as long, up to 1,000 s. An older Event does not tell whether the next
    attempt will be refused as well.
    """
    reason = event.get("reason")
    return reason in INVALID or (reason in TRIED_AGAIN and last_seen(event) >= since)


def _wish(pod: KubeObject) -> str:
    """Return what a pod asks of a node: the scheduler's message only says that no node has it."""
    limits = part(parts(pod, "spec", "containers")[0], "resources", "limits")
    gpus = [f"{count} {name}" for name, count in limits.items() if name.endswith("gpu")]
    labels = [f"{name}={value}" for name, value in part(pod, "spec", "nodeSelector").items()]
    if not gpus and not labels:
        return ""
    wish = f"{', '.join(gpus) or 'room'}{' on a node with ' + ', '.join(labels) if labels else ''}"
    return f" (it wants {wish}: add or free one, or change deepseek:hardware)"


def _exits(status: KubeObject) -> str:
    ended = [part(container, "state", "terminated") for container in parts(status, "containerStatuses")]
    return "; ".join(f"exit code {end['exitCode']}: {end.get('message') or end.get('reason')}" for end in ended if end)


def _listed(pods: Sequence[str]) -> str:
    if not pods:
        return ""
    more = f" and {len(pods) - MOST_NAMES} more" if len(pods) > MOST_NAMES else ""
    return f"{'pod' if len(pods) == 1 else 'pods'} {', '.join(pods[:MOST_NAMES])}{more}: "


def _short(text: object) -> str:
    one_line = " ".join(str(text or "no message").split())
    return one_line if len(one_line) <= MESSAGE_CHARACTERS else one_line[: MESSAGE_CHARACTERS - 1] + "…"

"""What runs of the dev stack, as the API server, Ray, the supervisor's log and the processes of the pods tell."""

import base64
import datetime as dt
import http
import subprocess
from typing import Any

import supervisor_log
from direct_http import NoAnswer, fetch
from ray_api import RayApi

from local import boot, dev
from local.cluster import cluster
from local.cluster.api_server import ApiError

API = cluster.CONTROL_PLANE.api_server
CORE = f"/api/v1/namespaces/{dev.NAMESPACE}"

HEAD = "ray.io/node-type=head"
WORKER = "ray.io/node-type=worker"
SUPERVISOR = "app.kubernetes.io/component=serving"
PROXY = "app.kubernetes.io/component=endpoint"

API_SERVER = "bin/vllm serve"
ENGINE = "VLLM::EngineCore"
COPY = "ray::DPMoEEngineCoreActor"
"""The engine of a data-parallel rank."""

RANK = "ray::RayWorkerProc"

MATCHING = """
import os, pathlib, sys, time

def command(pid):
    try:
        return pathlib.Path(f"/proc/{pid}/cmdline").read_text().replace("\\0", " ")
    except OSError:
        return ""

pids = [int(path.name) for path in pathlib.Path("/proc").glob("[0-9]*")]
pids = [pid for pid in pids if pid != os.getpid() and sys.argv[1] in command(pid)]
"""
COUNT = MATCHING + "print(len(pids))"
SIGNAL = MATCHING + "now = time.time()\nfor pid in pids: os.kill(pid, int(sys.argv[2]))\nprint(now if pids else 0)"


def pods(label: str) -> list[dict[str, Any]]:
    """Return the pods with a label that nobody has deleted and that have not ended, the newest first."""
    items: list[dict[str, Any]] = API.request("GET", f"{CORE}/pods?labelSelector={label}")["items"]
    alive = [
        pod
        for pod in items
        if "deletionTimestamp" not in pod["metadata"] and pod["status"]["phase"] not in ("Succeeded", "Failed")
    ]
    return sorted(alive, key=lambda pod: str(pod["metadata"]["creationTimestamp"]), reverse=True)


def pod_name(label: str) -> str:
    """Return the name of the newest pod with a label."""
    return str(pods(label)[0]["metadata"]["name"])


def is_ready(pod: dict[str, Any]) -> bool:
    """Whether the kubelet calls a pod ready."""
    return any(item["type"] == "Ready" and item["status"] == "True" for item in pod["status"].get("conditions", ()))


def service_url(service: str) -> str:
    """Return where the Service answers: kube-proxy serves this machine too."""
    return f"http://{API.request('GET', f'{CORE}/services/{service}')['spec']['clusterIP']}:8000"


def engine_service(service: str) -> str:
    """Return the Service of vLLM itself; where proxies stand before it, `service` is theirs."""
    names = {item["metadata"]["name"] for item in API.request("GET", f"{CORE}/services")["items"]}
    return f"{service}-engine" if f"{service}-engine" in names else service


def vllm_url(service: str) -> str:
    """Return where vLLM itself answers, past the proxies."""
    return service_url(engine_service(service))


def is_healthy() -> bool:
    """Whether vLLM's own health check on the head's pod is green."""
    try:
        return fetch("GET", f"http://{pods(HEAD)[0]['status']['podIP']}:8000/health", timeout=10) == ""
    except NoAnswer:
        return False


def ready_endpoints(service: str) -> int:
    """Return how many pods the Service calls ready."""
    path = f"/apis/discovery.k8s.io/v1/namespaces/{dev.NAMESPACE}/endpointslices"
    slices = API.request("GET", f"{path}?labelSelector=kubernetes.io/service-name={service}")["items"]
    return sum(endpoint["conditions"]["ready"] for item in slices for endpoint in item["endpoints"] or ())


def ray() -> RayApi:
    """Return Ray's API on the head's pod."""
    head = pods(HEAD)[0]
    secret = API.request("GET", f"{CORE}/secrets/{head['metadata']['labels']['ray.io/cluster']}")
    return RayApi(f"http://{head['status']['podIP']}:8265", base64.b64decode(secret["data"]["auth_token"]).decode())


def story(since: float) -> list[tuple[float, supervisor_log.Event]]:
    """Return what the supervisors' pods have said since a time, each event with its own; seconds since the epoch."""
    names = [pod["metadata"]["name"] for pod in API.request("GET", f"{CORE}/pods?labelSelector={SUPERVISOR}")["items"]]
    lines = [line.partition(" ") for name in names for line in _log(name).splitlines()]
    said = [(_seconds(at), event) for at, _, text in lines if (event := supervisor_log.parse(text))]
    return sorted(((at, event) for at, event in said if at >= since), key=lambda item: item[0])


def serving_events(reason: str, since: float) -> list[str]:
    """Return the messages of the Events with a reason that the serving Job has got since a time."""
    events = API.request("GET", f"{CORE}/events?fieldSelector=reason={reason},involvedObject.kind=Job")["items"]
    return [event["message"] for event in events if _seconds(event["lastTimestamp"]) >= int(since)]


def api_key() -> str:
    """Return the key of a stack that asks for one."""
    return base64.b64decode(API.request("GET", f"{CORE}/secrets/api-key")["data"]["key"]).decode()


def config_map(name: str) -> dict[str, str]:
    """Return what a ConfigMap holds."""
    return API.request("GET", f"{CORE}/configmaps/{name}").get("data") or {}


def count(process: str) -> int:
    """Return how many processes with this in their command line run in the Ray pods."""
    return sum(int(_in_container(label, COUNT, process)) for label in (HEAD, WORKER))


def send_signal(label: str, process: str, signal: int) -> float:
    """Signal the processes with this in their command line in a pod; return when, in seconds since the epoch."""
    sent = float(_in_container(label, SIGNAL, process, str(int(signal))))
    assert sent, f"no {process} runs in the pod {label}"
    return sent


def _in_container(label: str, program: str, *arguments: str) -> str:
    command = [*boot.kubectl(dev.NAMESPACE), "exec", pod_name(label), "-c", "ray", "--", "python3", "-c", program]
    return subprocess.run([*command, *arguments], check=True, capture_output=True, text=True).stdout.strip()


def _log(pod: str) -> str:
    try:
        return API.text(f"{CORE}/pods/{pod}/log?timestamps=true")
    except ApiError as error:
        if error.status in (http.HTTPStatus.BAD_REQUEST, http.HTTPStatus.NOT_FOUND):
            return ""  # its container has not started, or it is gone
        raise


def _seconds(timestamp: str) -> float:
    """Return the seconds since the epoch of a time as Kubernetes writes it."""
    return dt.datetime.fromisoformat(timestamp).timestamp()

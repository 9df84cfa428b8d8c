"""Plays the kubelets of Jobs' pods on simulated nodes, and the Ray cluster: the pods' real programs run beside them.

A program gets what its pod would give it: the modules of the mounted ConfigMap, the pod's environment, a token of its
service account for the real API server; when it ends, its exit code and termination message become the pod's. Ray and
vLLM are stand-ins: the Ray nodes are the Ray pods that run, and the model answers as soon as a job is submitted.
"""

import base64
import json
import signal
import subprocess
import sys
from collections.abc import Mapping
from http import HTTPStatus
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from stub_servers import StubModel, StubRay

from local.cluster.api_server import ApiError, ApiServer
from local.cluster.simulated_nodes import PLAYED
from tests.cluster.world.played_kubelet import CORE, end_pod
from tests.cluster.world.stack_objects import NAMESPACE

IMAGES = {"reference": f"{PLAYED}served:1", "fetchReference": f"{PLAYED}fetch:1"}

LOG_CHARACTERS = 2000
RUN = ("supervisor", "gate", "claim")
"""Programs that decide how an `up` ends; the others end well at once."""

CONSTANTS: Mapping[str, Mapping[str, Any]] = {
    "supervisor": {
        "following": {"POLL_SECONDS": 0.2, "SERVING_FILE": "serving"},
        "joining": {"POLL_SECONDS": 0.5, "REPORT_SECONDS": 1.0},
        "supervisor": {"SERVING_FILE": "serving"},
        "engine_watch": {"LOADING_INTERVAL_SECONDS": 0.2},
    },
    "gate": {
        "gate": {"ASK_SECONDS": 0.5, "LOOK_SECONDS": 1.0, "TERMINATION_MESSAGE": "message"},
        "diagnosis": {
            "MISSING_SECONDS": 3.0,
            "NOT_CREATED_SECONDS": 3.0,
            "WAITING_SECONDS": {"ErrImagePull": 3.0, "ImagePullBackOff": 3.0},
        },
    },
    "claim": {"claim": {"POLL_SECONDS": 0.5}},
}
"""Their polling and patience, shortened, and paths that containers have; each bound of the stack is its own key's."""

TOKEN_REQUEST = json.dumps({"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {}})

START = """
import importlib, json, os, sys
from pathlib import Path
import in_cluster

in_cluster.SERVICE_ACCOUNT = Path("account").resolve()
def log_of_the_supervisor(path, timeout=0):
    if not Path("../log").exists():
        raise in_cluster.ApiError(400, "container is waiting to start")
    return Path("../log").read_text()
in_cluster.request_text = log_of_the_supervisor
for module, constants in json.loads(os.environ.pop("CONSTANTS")).items():
    module = importlib.import_module(module)
    for name, value in constants.items():
        setattr(module, name, type(getattr(module, name))(value))
sys.exit(importlib.import_module(sys.argv[1]).main())
"""


class PlayedPrograms:
    """The programs of the pods of one namespace, started and ended by `step`."""

    def __init__(self, api: ApiServer, folder: Path) -> None:
        self._api, self._folder = api, folder
        self._running: dict[str, subprocess.Popen[bytes]] = {}
        self.ray, self.model = StubRay(), StubModel()
        self.model.status = 503
        self.ray.on_submit = lambda _: setattr(self.model, "status", 200)
        self.ray.routes["GET", "/api/v0/nodes"] = lambda _: (200, {"data": {"result": {"result": self._ray_nodes()}}})

    def step(self) -> None:
        """Start the programs of pods that run by now, end pods whose programs have ended."""
        pods = self._api.request("GET", f"{CORE}/pods")["items"]
        played = {pod["metadata"]["uid"]: pod for pod in pods if _is_played(pod)}
        for uid in self._running.keys() - played.keys():
            self._end(uid)
        for uid, pod in played.items():
            try:
                self._step(uid, pod)
            except ApiError as error:  # no Secret yet, for which the kubelet waits too; or the pod has gone meanwhile
                if error.status != HTTPStatus.NOT_FOUND:
                    raise

    def _step(self, uid: str, pod: dict[str, Any]) -> None:
        program = pod["spec"]["containers"][0]["name"]
        if program not in RUN:
            end_pod(self._api, pod)
        elif uid not in self._running:
            self._running[uid] = self._start(pod, program)
        elif (code := self._running[uid].poll()) is not None:
            del self._running[uid]
            end_pod(self._api, pod, self._last_words(pod, program) if code else "")

    def _last_words(self, pod: dict[str, Any], program: str) -> str:
        """Return the termination message of a program that has failed, else the end of its log."""
        message = self._folder / pod["metadata"]["uid"] / "message"
        return message.read_text() if message.exists() else self._log(pod, program).read_text()[-LOG_CHARACTERS:]

    def close(self) -> None:
        for uid in list(self._running):
            self._end(uid)
        self.ray.close()
        self.model.close()

    def _start(self, pod: dict[str, Any], program: str) -> subprocess.Popen[bytes]:
        address = urlsplit(self._api.url)
        environment = {
            **self._environment(pod),
            "KUBERNETES_SERVICE_HOST": str(address.hostname),
            "KUBERNETES_SERVICE_PORT": str(address.port),
            "TERMINATION_LOG": "message",
            "CONSTANTS": json.dumps(CONSTANTS[program]),
            "PYTHONPATH": "programs",
            "PYTHONDONTWRITEBYTECODE": "1",
        }
        key_file = environment.get("API_KEY_FILE", "")
        model = self.model.url
        here = {
            "RAY_JOBS_ADDRESS": self.ray.url,
            "ENDPOINT": model,
            "DOOR": model,
            "API_KEY_FILE": key_file.lstrip("/"),
        }
        environment |= {name: value for name, value in here.items() if name in environment}
        folder = self._folder / pod["metadata"]["uid"]
        self._mount(pod, folder)
        with self._log(pod, program).open("w") as log:
            return subprocess.Popen(
                [sys.executable, "-c", START, program], cwd=folder, env=environment, stdout=log, stderr=log
            )

    def _log(self, pod: dict[str, Any], program: str) -> Path:
        return self._folder / ("log" if program == "supervisor" else f"{pod['metadata']['uid']}/log")

    def _mount(self, pod: dict[str, Any], folder: Path) -> None:
        """Write the programs, Secrets and the service account's files where the kubelet would mount them."""
        volumes = pod["spec"]["volumes"]
        [programs] = [volume for volume in volumes if volume["name"] == "programs"]
        files = self._api.request("GET", f"{CORE}/configmaps/{programs['configMap']['name']}")["data"]
        account = f"{CORE}/serviceaccounts/{pod['spec']['serviceAccountName']}/token"
        token = self._api.request("POST", account, TOKEN_REQUEST)["status"]["token"]
        secrets = {"token": token, "namespace": NAMESPACE, "ca.crt": self._api.authority.read_text()}
        mounted = {
            volume["name"]: self._secret(volume["secret"]["secretName"]) for volume in volumes if "secret" in volume
        }
        for name, contents in {"programs": files, "account": secrets, **mounted}.items():
            (folder / name).mkdir(parents=True)
            for file, text in contents.items():
                (folder / name / file).write_text(text)

    def _secret(self, name: str) -> dict[str, str]:
        data = self._api.request("GET", f"{CORE}/secrets/{name}")["data"]
        return {key: base64.b64decode(value).decode() for key, value in data.items()}

    def _environment(self, pod: dict[str, Any]) -> dict[str, str]:
        variables = pod["spec"]["containers"][0]["env"]
        return {item["name"]: self._value(pod, item) for item in variables}

    def _value(self, pod: dict[str, Any], variable: dict[str, Any]) -> str:
        match variable.get("valueFrom"):
            case None:
                return variable.get("value", "")
            case {"secretKeyRef": {"name": name, "key": key}}:
                return self._secret(name)[key]
            case {"fieldRef": {"fieldPath": "metadata.namespace"}}:
                return NAMESPACE
            case {"fieldRef": {"fieldPath": path}}:
                return pod["metadata"]["labels"][path.removeprefix("metadata.labels['").removesuffix("']")]
            case other:
                raise AssertionError(f"{variable['name']}: {other}")

    def _end(self, uid: str) -> None:
        process = self._running.pop(uid)
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def _ray_nodes(self) -> list[dict[str, Any]]:
        pods = self._api.request("GET", f"{CORE}/pods?labelSelector=ray.io/cluster=deepseek")["items"]
        return [
            StubRay.node(
                pod["status"]["podIP"], float(pod["spec"]["containers"][0]["resources"]["limits"]["nvidia.com/gpu"])
            )
            for pod in pods
            if pod["status"]["phase"] == "Running" and "deletionTimestamp" not in pod["metadata"]
        ]


def _is_played(pod: dict[str, Any]) -> bool:
    runs = pod["status"]["phase"] == "Running" and "deletionTimestamp" not in pod["metadata"]
    is_job = "batch.kubernetes.io/job-name" in pod["metadata"]["labels"]
    return runs and is_job and pod["spec"]["containers"][0]["image"].startswith(PLAYED)

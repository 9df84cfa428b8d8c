"""A stack of the weights alone, in a namespace of its own on the embedded cluster, and what happens to its pods."""

import contextlib
import os
import secrets
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pulumi
from fetch_pods import wait_until
from pulumi import automation

from components.image.image_build import pod_image
from components.image.recipes import fetch_image
from components.model_store.model_store import ModelStore, ModelStoreArgs
from components.model_store.revision_cleanup import RevisionCleanup, RevisionCleanupArgs
from components.stack_config import cluster_provider, read_stack_config
from local import dev, stack
from local.cluster import cluster, namespace, volumes
from local.cluster.api_server import ApiError
from planning.plan import make_plan
from tests.cluster.world.fetch_image_build import fetch_image_build
from tests.cluster.world.played_kubelet import Up

API = cluster.CONTROL_PLANE.api_server
ANSWERED_AT = "http://deepseek.example.com:8000"
POD_SECONDS = 120.0
"""A pod is there within that time: the longest back-off of a Job that is waited for is 40 s."""
UP_SECONDS = 300.0


def image_program() -> None:
    """Build the fetch image as `__main__` does."""
    pulumi.export("image", fetch_image_build().reference)


def weights_program() -> None:
    """Put the weights onto the volume as `__main__` does, and clean up as if they had answered."""
    config = read_stack_config()
    settings, opts = config.settings, pulumi.ResourceOptions(provider=cluster_provider(config))
    image = pod_image(fetch_image(settings.image), settings.image, settings.image.fetch_reference or "")
    store = ModelStore("store", ModelStoreArgs.of(config, make_plan(settings), image), opts)
    if settings.storage.other_revisions == "remove":
        RevisionCleanup("revisions", RevisionCleanupArgs.of(config, image, store, ANSWERED_AT), opts)


class Namespace:
    """A namespace with the registry's Secrets and one stack."""

    def __init__(self, folder: Path, image: str = "") -> None:
        self.name = f"weights-{secrets.token_hex(3)}"
        self.folder, self.image = folder, image
        self.core, self.jobs = f"/api/v1/namespaces/{self.name}", f"/apis/batch/v1/namespaces/{self.name}/jobs"
        self._ups: list[Up] = []
        namespace.ensure_namespace(API, self.name)

    def remove(self) -> None:
        """Remove it with all that is in it, and the volume and the class that were made for it."""
        if any(up.is_alive() for up in self._ups):
            interrupt_engines()  # of a test that failed, which would wait for a download that is gone
        API.delete(f"/api/v1/namespaces/{self.name}")
        API.delete(f"{volumes.VOLUMES}/{self.name}")
        API.delete(f"{volumes.CLASSES}/{self.name}")

    def stack(self, program: Callable[[], None], **sections: dict[str, Any]) -> automation.Stack:
        """Return the dev stack with `program` and with some keys changed: `stack(program, storage={"keep": False})`."""
        if self.image:
            sections["image"] = {"fetchReference": self.image}
        committed = stack.configuration(dev.STACK)
        overrides = {f"deepseek:{key}": committed[f"deepseek:{key}"] | value for key, value in sections.items()}
        overrides["kubernetes:namespace"] = self.name
        return stack.select(dev.STACK, cluster.KUBECONFIG, overrides, self.folder, program)

    def start(self, repository: str, **sections: dict[str, Any]) -> Up:
        """Start an `up` of the weights alone."""
        model = {"repository": repository} | sections.pop("model", {})
        up = Up(self.stack(weights_program, model=model, **sections))
        self._ups.append(up)
        up.start()
        return up

    def up(self, repository: str, **sections: dict[str, Any]) -> str:
        """Run an `up` of the weights alone to its end; return its error, if any."""
        return error_of(self.start(repository, **sections))

    def volume(self) -> Path:
        """Return where the volume of the stack's own claim is on this machine."""
        claim = API.request("GET", f"{self.core}/persistentvolumeclaims/weights-{volumes.STORAGE_CLASS}-rwx")
        bound = API.request("GET", f"{volumes.VOLUMES}/{claim['spec']['volumeName']}")
        return Path(bound["spec"]["hostPath"]["path"])

    def make_volume(self, folder: Path, claim: str, storage_class: str = "") -> None:
        """Make a volume of a folder of this machine, reserved for a claim of this namespace."""
        manifest = {
            "apiVersion": "v1",
            "kind": "PersistentVolume",
            "metadata": {"name": self.name},
            "spec": {
                "storageClassName": storage_class,
                "accessModes": ["ReadWriteMany"],
                "capacity": {"storage": "1Gi"},
                "persistentVolumeReclaimPolicy": "Retain",
                "hostPath": {"path": str(folder)},
                "claimRef": {"namespace": self.name, "name": claim},
            },
        }
        API.apply(f"{volumes.VOLUMES}/{self.name}", manifest)

    def make_class(self, provisioner: str) -> str:
        """Make a storage class; return its name."""
        manifest = volumes.storage_class() | {"metadata": {"name": self.name}, "provisioner": provisioner}
        API.apply(f"{volumes.CLASSES}/{self.name}", manifest)
        return self.name

    def make_claim(self, name: str) -> None:
        """Make a claim for such a volume."""
        manifest = {
            "apiVersion": "v1",
            "kind": "PersistentVolumeClaim",
            "metadata": {"name": name},
            "spec": {
                "storageClassName": "",
                "accessModes": ["ReadWriteMany"],
                "resources": {"requests": {"storage": "1Gi"}},
            },
        }
        API.create(f"{self.core}/persistentvolumeclaims", manifest)

    def logs(self, prefix: str) -> str:
        """Return the logs of the pods of Jobs whose names begin so, as far as they have begun."""
        told: list[str] = []
        for pod in API.request("GET", f"{self.core}/pods")["items"]:
            if pod["metadata"]["name"].startswith(prefix):
                with contextlib.suppress(ApiError):  # its container is still to come
                    told.append(API.text(f"{self.core}/pods/{pod['metadata']['name']}/log"))
        return "".join(told)

    def kill_download(self, after_seconds: float = 0.0) -> None:
        """Let the next pod of the download run for so long, then kill all that runs in it."""
        wait_until(lambda: bool(self.downloading()), POD_SECONDS)
        time.sleep(after_seconds)
        killed = self.downloading()
        assert killed, "the download was over before it could be killed"
        for process in killed:
            with contextlib.suppress(ProcessLookupError):  # it went with the pod's first process
                os.kill(process, signal.SIGKILL)
        wait_until(lambda: not self.downloading())

    def evict_download(self) -> None:
        """Let the pod of the download leave its node, as when that is drained, once it is known to run there."""
        wait_until(lambda: bool(self._running_downloads()), POD_SECONDS)
        [name] = self._running_downloads()
        eviction = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": name, "namespace": self.name}}
        API.create(f"{self.core}/pods/{name}/eviction", eviction)
        wait_until(lambda: not self.downloading(), POD_SECONDS)

    def _running_downloads(self) -> list[str]:
        pods = API.request("GET", f"{self.core}/pods")["items"]
        names = [pod["metadata"]["name"] for pod in pods if pod["status"]["phase"] == "Running"]
        return [name for name in names if name.startswith("download-")]

    def downloading(self) -> list[int]:
        """Return the processes on this machine that have the environment of a download's pod."""
        found: list[int] = []
        for path in Path("/proc").glob("[0-9]*/environ"):
            with contextlib.suppress(OSError):  # it has ended
                variables = path.read_text(errors="replace").split("\0")
                is_ours = f"POD_NAMESPACE={self.name}" in variables
                if is_ours and any(variable.startswith("JOB_NAME=download-") for variable in variables):
                    found.append(int(path.parent.name))
        return found


def error_of(up: Up) -> str:
    """Wait for the end of an `up`; return its error, if any."""
    up.join(UP_SECONDS)
    assert not up.is_alive(), "up did not end"
    return up.error


def interrupt_engines() -> None:
    """End every `up` of this process, as Ctrl-C does."""
    for children in Path("/proc/self/task").glob("*/children"):
        for process in children.read_text().split():
            if stack.is_engine(int(process)):
                os.kill(int(process), signal.SIGINT)


def make_folder(path: Path) -> Path:
    """Make a folder that pods may write to."""
    path.mkdir()
    os.chown(path, volumes.OWNER, volumes.OWNER)
    path.chmod(0o2775)
    return path

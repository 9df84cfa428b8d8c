"""The article's stack as Kubernetes objects, and what kube-score and two checks of our own find in them."""

import json
import re
import subprocess
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import yaml

KUBERNETES = "v1.35"
OPTIONAL = ("container-seccomp-profile",)
PASSED = 10
"""kube-score's grade for a check without a finding."""

KINDS = {
    "jobs": ("batch/v1", "Job"),
    "networkpolicies": ("networking.k8s.io/v1", "NetworkPolicy"),
    "persistentvolumeclaims": ("v1", "PersistentVolumeClaim"),
    "poddisruptionbudgets": ("policy/v1", "PodDisruptionBudget"),
    "pods": ("v1", "Pod"),
    "services": ("v1", "Service"),
}

Manifest = dict[str, Any]


@dataclass(frozen=True, order=True)
class Finding:
    """One fault of one container, or of an object's pods as a whole."""

    check: str
    subject: str
    """The container, or `pod of COMPONENT`, or `KIND of COMPONENT`."""

    text: str

    def __str__(self) -> str:
        return f"{self.subject}: {self.text} ({self.check})"


def findings(kube_score: Path, manifests: Iterable[Manifest]) -> set[Finding]:
    """Return what is found in the objects, each container or component once however many pods it has."""
    objects = [item for item in manifests if item["kind"] not in {"ConfigMap", "Secret", "RayCluster"}]
    command = [kube_score, "score", "--output-format=json", f"--kubernetes-version={KUBERNETES}"]
    command += [f"--enable-optional-test={name}" for name in OPTIONAL]
    text = yaml.safe_dump_all(json.loads(json.dumps(objects, default=lambda _: "known-later")))
    done = subprocess.run([*command, "-"], input=text, capture_output=True, text=True, check=False)
    scored: list[Manifest] = json.loads(done.stdout)
    if len(scored) < 10:
        raise AssertionError(f"kube-score read {len(scored)} objects: {done.stderr}")
    return set(_of_kube_score(scored)) | {found for item in objects for found in ours(item)}


def of_registrations(inputs: Iterable[Mapping[str, Any]]) -> Iterator[Manifest]:
    """Yield what the program asks for, and for a RayCluster the pods that KubeRay makes of it."""
    for item in inputs:
        yield dict(item)
        if item["kind"] == "RayCluster":
            head, workers = item["spec"]["headGroupSpec"], item["spec"]["workerGroupSpecs"]
            for kind, group in (("head", head), *(("worker", group) for group in workers)):
                yield _ray_pod(item["metadata"]["name"], kind, group["template"])


def of_api_server(objects: Mapping[tuple[str, str], Manifest]) -> Iterator[Manifest]:
    """Yield what the API server has, by plural and name, with the kinds that a list leaves out of its items."""
    for (plural, _), item in objects.items():
        if plural in KINDS:
            version, kind = KINDS[plural]
            metadata = {key: value for key, value in item["metadata"].items() if key != "managedFields"}
            yield {**item, "apiVersion": version, "kind": kind, "metadata": metadata}


def _ray_pod(cluster: str, kind: str, template: Mapping[str, Any]) -> Manifest:
    labels = {"ray.io/cluster": cluster, "ray.io/node-type": kind, "ray.io/group": f"{kind}group"}
    metadata = template["metadata"]
    described = {**metadata, "name": f"{cluster}-{kind}", "labels": {**metadata["labels"], **labels}}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": described, "spec": template["spec"]}


def _of_kube_score(scored: Iterable[Manifest]) -> Iterator[Finding]:
    for item in scored:
        for check in item["checks"]:
            if not check["skipped"] and check["grade"] < PASSED:
                for comment in check["comments"] or [{"path": "", "summary": check["check"]["comment"]}]:
                    subject = comment["path"] or _described(item["type_meta"]["kind"], item["object_meta"])
                    yield Finding(check["check"]["id"], subject, comment["summary"])


def ours(item: Manifest) -> Iterator[Finding]:
    """Yield what kube-score does not look for: Secrets in variables, and images that are named by a tag."""
    for container in _containers(item):
        for variable in container.get("env", []):
            if "secretKeyRef" in (variable.get("valueFrom") or {}):
                yield Finding("secret-in-variable", container["name"], f"{variable['name']} comes from a Secret")
        if not re.search(r"@sha256:[0-9a-f]{64}$", str(container["image"])):
            yield Finding("image-by-tag", container["name"], "the image is named by a tag")


def _containers(item: Manifest) -> list[Manifest]:
    spec = item["spec"]["template"]["spec"] if item["kind"] == "Job" else item.get("spec", {})
    found = [*spec.get("initContainers", []), *spec.get("containers", [])] if item["kind"] in {"Job", "Pod"} else []
    return cast("list[Manifest]", found)


def _described(kind: str, metadata: Mapping[str, Any]) -> str:
    component = metadata.get("labels", {}).get("app.kubernetes.io/component", metadata["name"])
    return f"{'pod' if kind in {'Job', 'Pod'} else kind} of {component}"

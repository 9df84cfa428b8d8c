"""Gives every claim of the storage class `local` a volume of its own, and takes back the volumes of deleted claims.

A program (`python -m local.cluster.volumes`) that watches the API server, as the provisioner of a real cluster's
shared file system does: any size, any access mode. A volume is a folder on this machine; for simulated nodes it is
only a name.
"""

import argparse
import http.client
import os
import shutil
import threading
import time
from pathlib import Path
from typing import NoReturn

from local.cluster.api_server import ApiError, ApiServer, Object

STORAGE_CLASS = "local"
PROVISIONER = "deepseek-on-kubernetes/local"
PROVISIONED_BY = "pv.kubernetes.io/provisioned-by"
"""With this annotation the controller-manager leaves the removal of a volume to us."""
CLAIMS = "/api/v1/persistentvolumeclaims"
VOLUMES = "/api/v1/persistentvolumes"
CLASSES = "/apis/storage.k8s.io/v1/storageclasses"
OWNER = 1000
"""User and group of the pods; the kubelet applies no `fsGroup` to folders of its machine."""
RETRY_SECONDS = 1.0


def storage_class() -> Object:
    """The StorageClass. It is the default: claims without a class get it."""
    return {
        "apiVersion": "storage.k8s.io/v1",
        "kind": "StorageClass",
        "metadata": {
            "name": STORAGE_CLASS,
            "annotations": {"storageclass.kubernetes.io/is-default-class": "true"},
        },
        "provisioner": PROVISIONER,
        "reclaimPolicy": "Delete",
        "volumeBindingMode": "Immediate",
    }


def volume_for(claim: Object, folder: Path) -> Object:
    """The volume for a claim, as large as it asks for and reserved for it."""
    metadata, spec = claim["metadata"], claim["spec"]
    name = f"pvc-{metadata['uid']}"
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolume",
        "metadata": {"name": name, "annotations": {PROVISIONED_BY: PROVISIONER}},
        "spec": {
            "storageClassName": STORAGE_CLASS,
            "accessModes": spec["accessModes"],
            "capacity": {"storage": spec["resources"]["requests"]["storage"]},
            "persistentVolumeReclaimPolicy": "Delete",
            "hostPath": {"path": str(folder / f"{metadata['namespace']}-{metadata['name']}-{metadata['uid'][:8]}")},
            "claimRef": {
                "apiVersion": "v1",
                "kind": "PersistentVolumeClaim",
                "namespace": metadata["namespace"],
                "name": metadata["name"],
                "uid": metadata["uid"],
            },
        },
    }


def wants_volume(claim: Object) -> bool:
    """Whether a claim is of our class and has no volume yet."""
    spec = claim["spec"]
    return spec.get("storageClassName") == STORAGE_CLASS and not spec.get("volumeName")


def is_released(volume: Object) -> bool:
    """Whether a volume is ours, its claim gone for good, and its removal not asked for yet."""
    ours = volume["metadata"].get("annotations", {}).get(PROVISIONED_BY) == PROVISIONER
    asked = "deletionTimestamp" in volume["metadata"]
    return ours and not asked and volume.get("status", {}).get("phase") == "Released"


class Provisioner:
    """Makes and removes volumes; with `real` their folders too."""

    def __init__(self, api_server: ApiServer, folder: Path, *, real: bool) -> None:
        self._api_server = api_server
        self._folder = folder
        self._real = real

    def provision(self, claim: Object) -> None:
        """Make the volume of a claim."""
        volume = volume_for(claim, self._folder)
        if self._real:
            path = Path(volume["spec"]["hostPath"]["path"])
            path.mkdir(parents=True, exist_ok=True)
            os.chown(path, OWNER, OWNER)
            # What the kubelet makes in it for a `subPath` then belongs to the pods' group too, as with `fsGroup`.
            path.chmod(0o2775)
        self._api_server.apply(f"{VOLUMES}/{volume['metadata']['name']}", volume)
        print(f"made {volume['metadata']['name']} for {claim['metadata']['namespace']}/{claim['metadata']['name']}")

    def reclaim(self, volume: Object) -> None:
        """Remove a volume and what is on it."""
        path = Path(volume["spec"]["hostPath"]["path"])
        if self._real and path.is_relative_to(self._folder):
            shutil.rmtree(path, ignore_errors=True)
        self._api_server.delete(f"{VOLUMES}/{volume['metadata']['name']}")
        print(f"removed {volume['metadata']['name']}")

    def handle(self, claim_or_volume: Object) -> None:
        """Provision a claim that waits for a volume, reclaim a volume that is released; leave others alone."""
        if claim_or_volume["kind"] == "PersistentVolumeClaim" and wants_volume(claim_or_volume):
            self.provision(claim_or_volume)
        elif claim_or_volume["kind"] == "PersistentVolume" and is_released(claim_or_volume):
            self.reclaim(claim_or_volume)

    def follow(self, collection: str, kind: str) -> NoReturn:
        """Handle everything in a collection, and then whatever changes in it, for ever."""
        while True:
            try:
                listed = self._api_server.request("GET", collection)
                for item in listed["items"]:
                    self.handle({"kind": kind, **item})
                for event, changed in self._api_server.watch(collection, listed["metadata"]["resourceVersion"]):
                    if event in ("ADDED", "MODIFIED"):
                        self.handle(changed)
            except (ApiError, OSError, http.client.HTTPException, ValueError) as error:
                print(f"{collection}: {error}; again in {RETRY_SECONDS} s", flush=True)
                time.sleep(RETRY_SECONDS)


def main() -> None:
    """Provision until told to stop."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--url", required=True, help="the API server's")
    for name in ("authority", "certificate", "key"):
        parser.add_argument(f"--{name}", required=True, type=Path)
    parser.add_argument("--folder", required=True, type=Path, help="for the volumes")
    parser.add_argument("--simulated", action="store_true", help="make no folders")
    arguments = parser.parse_args()
    api_server = ApiServer(
        url=arguments.url,
        authority=arguments.authority,
        certificate=arguments.certificate,
        key=arguments.key,
    )
    provisioner = Provisioner(api_server, arguments.folder, real=not arguments.simulated)
    for collection, kind in ((CLAIMS, "PersistentVolumeClaim"), (VOLUMES, "PersistentVolume")):
        threading.Thread(target=provisioner.follow, args=(collection, kind)).start()


if __name__ == "__main__":
    main()

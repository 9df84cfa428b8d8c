import os
from pathlib import Path
from typing import Any

import pytest

from local.cluster import volumes
from local.cluster.volumes import Provisioner

UID = "5f4e1c2d-0000-4000-8000-000000000000"


def claim(**spec: object) -> dict[str, Any]:
    return {
        "kind": "PersistentVolumeClaim",
        "metadata": {"namespace": "deepseek", "name": "weights", "uid": UID},
        "spec": {
            "storageClassName": "local",
            "accessModes": ["ReadWriteMany"],
            "resources": {"requests": {"storage": "3Ti"}},
            **spec,
        },
    }


class FakeApi:
    def __init__(self) -> None:
        self.volumes: dict[str, dict[str, Any]] = {}

    def apply(self, path: str, manifest: dict[str, Any]) -> None:
        self.volumes[path] = manifest

    def delete(self, path: str) -> None:
        del self.volumes[path]


@pytest.fixture
def api() -> FakeApi:
    return FakeApi()


def provisioner(api: FakeApi, folder: Path, *, real: bool) -> Provisioner:
    return Provisioner(api, folder, real=real)  # type: ignore[arg-type]


def test_a_claim_gets_a_volume_of_its_size_and_access_reserved_for_it() -> None:
    spec = volumes.volume_for(claim(), Path("/volumes"))["spec"]
    assert spec["capacity"] == {"storage": "3Ti"}
    assert spec["accessModes"] == ["ReadWriteMany"]
    assert (spec["claimRef"]["name"], spec["claimRef"]["uid"]) == ("weights", UID)


@pytest.mark.parametrize(
    ("spec", "wanted"),
    [({}, True), ({"volumeName": "pvc-1"}, False), ({"storageClassName": "nfs"}, False)],
)
def test_only_claims_of_our_class_without_a_volume_want_one(spec: dict[str, object], wanted: bool) -> None:  # noqa: FBT001
    assert volumes.wants_volume(claim(**spec)) is wanted


def test_a_volume_is_a_folder_that_the_pods_group_may_write_to_and_goes_with_its_claim(
    api: FakeApi, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    owners: list[tuple[int, int]] = []

    def chown(_path: Path, user: int, group: int) -> None:
        owners.append((user, group))

    monkeypatch.setattr(os, "chown", chown)
    it = provisioner(api, tmp_path, real=True)

    it.handle(claim())

    (folder,) = tmp_path.iterdir()
    assert folder.stat().st_mode & 0o7777 == 0o2775
    assert owners == [(1000, 1000)]
    (volume,) = api.volumes.values()
    (folder / "weights").write_text("x")

    it.handle({**volume, "status": {"phase": "Bound"}})
    assert folder.exists()
    it.handle({**volume, "status": {"phase": "Released"}})
    assert not folder.exists()
    assert api.volumes == {}


def test_a_simulated_volume_is_a_name_only(api: FakeApi, tmp_path: Path) -> None:
    provisioner(api, tmp_path / "volumes", real=False).handle(claim())
    assert len(api.volumes) == 1
    assert not (tmp_path / "volumes").exists()


def test_somebody_elses_volume_is_left_alone() -> None:
    released = {"metadata": {"name": "theirs"}, "spec": {"storageClassName": "local"}, "status": {"phase": "Released"}}
    assert not volumes.is_released(released)

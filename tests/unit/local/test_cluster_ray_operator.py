from pathlib import Path
from typing import Any

import pytest

from local.cluster import ray_operator
from local.cluster.ray_operator import NotServed, RayOperator
from local.machine.processes import Daemon

THEIRS = "---\nkind: CustomResourceDefinition\nmetadata: {name: rayclusters.ray.io}\n"


class FakeApi:
    def __init__(self, *, there: bool = False, served: bool = True) -> None:
        self._there = there
        self._served = served
        self.created: list[Any] = []
        self.applied: list[str] = []

    def create(self, _collection: str, manifest: object) -> object:
        self.created.append(manifest)
        return None if self._there else manifest

    def apply(self, path: str, _manifest: object) -> None:
        self.applied.append(path.rpartition("/")[2])

    def get(self, _path: str) -> object:
        names = ("rayclusters", "rayjobs", "rayservices") if self._served else ("rayclusters", "rayclusters/status")
        return {"resources": [{"name": name} for name in names]}


class FakeSupervisor:
    def ensure(self, _daemon: Daemon) -> bool:
        return False


@pytest.fixture(autouse=True)
def built(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "ray.io_rayclusters.yaml").write_text(THEIRS)
    monkeypatch.setattr(ray_operator, "data", {"kuberay-crds": tmp_path}.__getitem__)
    monkeypatch.setattr(ray_operator, "program", Path("/programs").joinpath)
    monkeypatch.setattr(ray_operator, "SERVED_SECONDS", 0.1)


def ensure(api: FakeApi, folder: Path) -> bool:
    operator = RayOperator(folder=folder, api_server=api, kubeconfig=folder / "k")  # type: ignore[arg-type]
    return operator.ensure(FakeSupervisor())  # type: ignore[arg-type]


def test_the_definitions_are_created_once(tmp_path: Path) -> None:
    api = FakeApi()
    assert ensure(api, tmp_path)
    assert len(api.created) == 3
    assert api.created[0] == THEIRS.removeprefix("---\n"), "RayCluster's is KubeRay's own"
    assert not ensure(api, tmp_path)
    assert len(api.created) == 3
    assert api.applied == []


def test_definitions_of_another_version_are_brought_up_to_date(tmp_path: Path) -> None:
    api = FakeApi(there=True)
    assert ensure(api, tmp_path)
    assert api.applied == ["rayclusters.ray.io", "rayjobs.ray.io", "rayservices.ray.io"]


def test_a_definition_that_is_not_served_is_an_error_and_tried_again_next_time(tmp_path: Path) -> None:
    with pytest.raises(NotServed, match=r"does not serve rayjobs.ray.io, rayservices.ray.io 0 s after"):
        ensure(FakeApi(served=False), tmp_path)
    assert ensure(FakeApi(), tmp_path)

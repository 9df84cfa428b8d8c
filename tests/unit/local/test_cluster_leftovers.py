from pathlib import Path

import pytest

from local.machine import kernel_settings, leftovers
from local.machine.kernel_settings import FILTERED_BRIDGES, FORWARDING, KernelLacks, KernelSettings

MOUNTINFO = """\
24 1 254:0 / / rw,relatime - ext4 /dev/vda rw
31 24 0:27 / /state/cluster/volumes\\040of\\040mine rw - tmpfs tmpfs rw
32 24 0:28 / /state/cluster rw - tmpfs tmpfs rw
33 32 0:29 / /state/cluster/node/rootfs rw - overlay overlay rw
34 24 0:30 / /state/clusters rw - tmpfs tmpfs rw
35 24 0:31 / /run/ours/netns/a rw - nsfs nsfs rw
"""


def test_mounts_below_our_folders_are_found_the_latest_first() -> None:
    found = leftovers.mount_points(MOUNTINFO, [Path("/state/cluster"), Path("/run/ours")])
    assert found == [
        "/run/ours/netns/a",
        "/state/cluster/node/rootfs",
        "/state/cluster",
        "/state/cluster/volumes of mine",
    ]


def test_only_our_files_go_from_the_folders_that_kubelets_share(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    links, results, sockets = (tmp_path / name for name in ("links", "results", "sockets"))
    for folder in (links, results, sockets):
        folder.mkdir()
    monkeypatch.setattr(leftovers, "LOG_LINKS", links)
    monkeypatch.setattr(leftovers, "CNI_RESULTS", results)
    monkeypatch.setattr(leftovers, "SHIM_SOCKETS", sockets)
    monkeypatch.setattr(leftovers, "DEVICE_PLUGINS", sockets)
    monkeypatch.setattr(leftovers, "SHARED_FOLDERS", (links, results, sockets))
    (links / "ours.log").symlink_to("/state/cluster/node/pod-logs/0.log")
    (links / "theirs.log").symlink_to("/var/log/pods/0.log")
    (results / "deepseek-local-abc-eth0").touch()
    (results / "theirs-def-eth0").touch()
    (sockets / "dead").touch()

    leftovers.remove_files(["abc"], Path("/state/cluster"))

    assert [path.name for path in links.iterdir()] == ["theirs.log"]
    assert [path.name for path in results.iterdir()] == ["theirs-def-eth0"]
    assert not sockets.exists(), "a folder that has become empty goes too"


def test_a_cgroup_that_a_shim_removes_meanwhile_is_no_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def walk(folder: Path, *, topdown: bool) -> list[tuple[str, list[str], list[str]]]:
        assert not topdown
        return [(str(folder / "removed"), [], []), (str(folder), [], [])]

    container = tmp_path / "cpu" / leftovers.CONTAINERS_CGROUP / "abc"
    container.mkdir(parents=True)
    monkeypatch.setattr(leftovers, "CGROUPS", tmp_path)
    monkeypatch.setattr("os.walk", walk)

    leftovers.remove_cgroups(["abc"])

    assert not container.parent.exists()


@pytest.fixture
def kernel(tmp_path: Path) -> Path:
    for setting in (FORWARDING, FILTERED_BRIDGES):
        (tmp_path / "sys" / setting).parent.mkdir(parents=True)
        (tmp_path / "sys" / setting).write_text("0\n")
    (tmp_path / "sys" / "vm").mkdir()
    (tmp_path / "sys" / "vm/overcommit_memory").write_text("0\n")
    return tmp_path / "sys"


def test_kernel_settings_are_put_back_as_they_were_before_the_first_change(kernel: Path, tmp_path: Path) -> None:
    settings = KernelSettings(tmp_path / "memory", kernel)
    assert settings.ensure()
    (kernel / "vm/overcommit_memory").write_text("1\n")  # as the kubelet does
    assert not settings.ensure()
    for setting in (FORWARDING, FILTERED_BRIDGES):
        assert (kernel / setting).read_text() == "1"

    settings.restore()

    for setting in (FORWARDING, FILTERED_BRIDGES):
        assert (kernel / setting).read_text().strip() == "0"
    assert (kernel / "vm/overcommit_memory").read_text().strip() == "0"


def test_settings_that_were_never_changed_are_left_alone(kernel: Path, tmp_path: Path) -> None:
    KernelSettings(tmp_path / "memory", kernel).restore()
    assert (kernel / FORWARDING).read_text() == "0\n"


def test_a_kernel_that_cannot_filter_between_pods_is_told_after_its_module_was_asked_for(
    kernel: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (kernel / FILTERED_BRIDGES).unlink()
    asked: list[str] = []
    monkeypatch.setattr(kernel_settings, "_load", asked.append)
    with pytest.raises(KernelLacks, match="br_netfilter"):
        KernelSettings(tmp_path / "memory", kernel).ensure()
    assert asked == ["br_netfilter"]

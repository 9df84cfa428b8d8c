"""What a Ray pod looks at before Ray starts, on this machine's own interfaces and limits."""

import os
import resource
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable
from importlib import metadata
from pathlib import Path

import interfaces
import pytest
import ray_pod
from ray_pod import UnfitError

PROGRAMS = Path(ray_pod.__file__).parent
VERSIONS = {"ray": "2.60.0", "vllm": "0.32.0", "torch": "2.13.0+cu130"}
ENVIRONMENT = {"VLLM_HOST_IP": "127.0.0.1", "RAY_VERSION": "2.60.0", "ON_GPUS": "1"}
UNLIMITED = resource.RLIM_INFINITY


def in_bin(program: str) -> str:
    return f"/bin/{program}"


def no(*_: object) -> bool:
    return False


@pytest.fixture
def versions(monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """Have an image with these distributions and both programs."""
    found = dict(VERSIONS)

    def version(name: str) -> str:
        if name not in found:
            raise metadata.PackageNotFoundError(name)
        return found[name]

    monkeypatch.setattr(ray_pod, "version", version)
    monkeypatch.setattr(shutil, "which", in_bin)
    return found


@pytest.fixture
def limit(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], None]:
    """Set the hard limit of locked memory, for a process without capabilities."""

    def set_limit(value: int) -> None:
        def getrlimit(_: int) -> tuple[int, int]:
            return 0, value

        monkeypatch.setattr(resource, "getrlimit", getrlimit)
        monkeypatch.setattr(ray_pod, "may_lock", no)

    return set_limit


def own_address() -> tuple[str, str]:
    """Return an address of this machine beside loopback, and its interface as `ip` tells it, or those of loopback."""
    for _, name in socket.if_nameindex():
        shown = subprocess.run(["ip", "-4", "-o", "addr", "show", name], capture_output=True, text=True, check=False)
        words = shown.stdout.split()
        if name != "lo" and "inet" in words:
            return words[words.index("inet") + 1].partition("/")[0], name
    return "127.0.0.1", "lo"


@pytest.mark.usefixtures("versions")
def test_the_interface_is_that_of_the_pods_address() -> None:
    address, interface = own_address()
    lines = ray_pod.commands(ENVIRONMENT | {"VLLM_HOST_IP": address})
    assert f"export NCCL_SOCKET_IFNAME={interface}" in lines
    assert f"export GLOO_SOCKET_IFNAME={interface}" in lines
    assert "export SERVE_ON=0.0.0.0" in lines


def test_an_address_of_ipv6_is_found_and_listened_on(monkeypatch: pytest.MonkeyPatch) -> None:
    if Path("/proc/net/if_inet6").exists() and "lo" in Path("/proc/net/if_inet6").read_text().split():
        assert interfaces.of_address("::1") == "lo"
    found = {"2001:db8::7": "ens5"}
    monkeypatch.setattr(interfaces, "of_address", found.get)
    assert ray_pod.network(ENVIRONMENT | {"VLLM_HOST_IP": "2001:db8::7"}) == {
        "NCCL_SOCKET_IFNAME": "ens5",
        "GLOO_SOCKET_IFNAME": "ens5",
        "SERVE_ON": "::",
    }


def test_the_kernels_answer_is_read_whatever_the_family_of_an_address() -> None:
    def attribute(kind: int, content: bytes) -> bytes:
        return interfaces.ATTRIBUTE.pack(interfaces.ATTRIBUTE.size + len(content), kind) + content

    four, six = socket.inet_aton("198.18.0.7"), socket.inet_pton(socket.AF_INET6, "2001:db8::7")
    label = attribute(3, b"e\0") + b"\0\0"  # not as long as its alignment
    content = label + attribute(interfaces.ADDRESS, six) + attribute(interfaces.LOCAL, four)
    found = dict(interfaces.attributes_of(content))
    assert (found[interfaces.LOCAL], found[interfaces.ADDRESS]) == (four, six)


def test_an_interface_of_the_stack_file_must_be_there() -> None:
    assert ray_pod.network(ENVIRONMENT | {"NETWORK_INTERFACE": "lo"})["GLOO_SOCKET_IFNAME"] == "lo"
    with pytest.raises(UnfitError, match=r"network\.interface: this pod has no interface 'ib7'; it has .*lo"):
        ray_pod.network(ENVIRONMENT | {"NETWORK_INTERFACE": "ib7"})


def test_an_address_that_no_interface_has_is_told_with_the_key() -> None:
    with pytest.raises(
        UnfitError, match=r"network\.interface: set it, as no interface of this pod has 198\.51\.100\.9"
    ):
        ray_pod.network(ENVIRONMENT | {"VLLM_HOST_IP": "198.51.100.9"})


@pytest.mark.parametrize("kib", [64, 8192])
def test_a_node_that_does_not_let_rdma_pin_memory_is_named_with_its_remedy(
    kib: int, limit: Callable[[int], None]
) -> None:
    limit(kib * 1024)
    with pytest.raises(UnfitError, match=f"rdmaResources: `ulimit -l` is {kib} KiB.*LimitMEMLOCK=infinity"):
        ray_pod.memory_lock({"RDMA": "1"})
    assert ray_pod.memory_lock({"RDMA": ""}) == []


@pytest.mark.parametrize("bytes_", [UNLIMITED, 64 * 2**30])
def test_what_the_node_allows_is_taken(bytes_: int, limit: Callable[[int], None]) -> None:
    limit(bytes_)
    assert ray_pod.memory_lock({"RDMA": "1"}) == ["ulimit -S -l hard"]


def test_the_capability_counts_only_where_it_has_an_effect() -> None:
    assert ray_pod.may_lock("Name:\tpython3\nCapEff:\t0000000000004000\n")
    assert not ray_pod.may_lock("CapInh:\t0000000000004000\nCapEff:\t0000000000000000\n")


@pytest.mark.parametrize(
    ("distribution", "has", "told"),
    [
        ("ray", "2.59.1", "it has Ray 2.59.1, and 2.60.0 is needed"),
        ("ray", "", "it has no Ray, and 2.60.0 is needed"),
        ("vllm", "", "its python3 has no vllm"),
        ("torch", "2.13.0+cpu", "its torch is built for CPUs"),
    ],
)
def test_a_finished_image_that_cannot_serve_is_told_before_ray_starts(
    distribution: str, has: str, told: str, versions: dict[str, str]
) -> None:
    del versions[distribution]
    if has:
        versions[distribution] = has
    with pytest.raises(UnfitError, match=r"^image\.reference: ") as unfit:
        ray_pod.commands(ENVIRONMENT)
    assert told in str(unfit.value)
    assert "docs/finished-images.md" in str(unfit.value)


def test_everything_that_an_image_lacks_is_told_at_once() -> None:
    with pytest.raises(UnfitError) as unfit:
        ray_pod.check_image({"RAY_VERSION": "1.0"})
    for told in ("no program 'ray'", "no program 'vllm'", "1.0 is needed", "no vllm"):
        assert told in str(unfit.value)


def test_a_user_whom_the_image_does_not_know_gets_a_home_and_a_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "access", no)
    monkeypatch.setattr(os, "getuid", lambda: 1000650000)
    assert ray_pod.home() == {"HOME": ray_pod.WRITABLE, "USER": "ray", "LOGNAME": "ray"}


def test_the_shell_takes_the_commands_and_ends_where_the_pod_is_unfit(tmp_path: Path) -> None:
    """As KubeRay puts its own command after ours."""
    for name in ("ray", "vllm"):
        program = tmp_path / name
        program.write_text("#!/bin/sh\necho started on $GLOO_SOCKET_IFNAME\n")
        program.chmod(0o755)
        metadata_folder = tmp_path / f"{name}-{VERSIONS[name]}.dist-info"
        metadata_folder.mkdir()
        (metadata_folder / "METADATA").write_text(f"Name: {name}\nVersion: {VERSIONS[name]}\n")
    python = tmp_path / "python3"
    python.symlink_to(sys.executable)
    command = 'commands=$(python3 -m ray_pod) || exit 1; eval "$commands" && ulimit -n 64; ray start'
    env = {
        "PATH": f"{tmp_path}:{os.environ['PATH']}",
        "PYTHONPATH": f"{PROGRAMS}:{tmp_path}",
        "VLLM_HOST_IP": "127.0.0.1",
    }

    def start(version: str) -> tuple[int, str]:
        ran = subprocess.run(
            ["/bin/bash", "-c", "--", command],
            env=env | {"RAY_VERSION": version},
            capture_output=True,
            text=True,
            check=False,
        )
        return ran.returncode, ran.stdout + ran.stderr

    assert start("2.60.0") == (0, "started on lo\n")
    code, said = start("2.61.0")
    assert code == 1
    assert said.startswith("image.reference: it has Ray 2.60.0, and 2.61.0 is needed")

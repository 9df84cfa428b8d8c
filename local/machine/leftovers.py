"""What pods leave behind when nobody stops them in order: processes, mounts, cgroups, files. All of ours is removed.

Ours is what belongs to our containers' ids, lies under the cluster's own folders, or points there.
"""

import contextlib
import errno
import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

CGROUPS = Path("/sys/fs/cgroup")
CONTAINERS_CGROUP = "k8s.io"
"""Where containerd puts the containers of any kubelet, one cgroup for each, named by its id."""
KILL_SECONDS = 10.0

# Folders whose place is compiled into the programs.
SHIM_SOCKETS = Path("/run/containerd/s")
CNI_RESULTS = Path("/var/lib/cni/results")
LOG_LINKS = Path("/var/log/containers")
DEVICE_PLUGINS = Path("/var/lib/kubelet/device-plugins")
SHARED_FOLDERS = (
    *(SHIM_SOCKETS, SHIM_SOCKETS.with_name("fifo"), SHIM_SOCKETS.parent),
    *(CNI_RESULTS, CNI_RESULTS.parent),
    *(DEVICE_PLUGINS, DEVICE_PLUGINS.parent),
    LOG_LINKS,
)
"""They are removed when nobody has anything in them."""


def kill_containers(ids: Sequence[str], containerd: Path) -> None:
    """Kill what runs in containers with these ids, and the shims of the containerd that listens on `containerd`."""
    deadline = time.monotonic() + KILL_SECONDS
    while pids := {*_shims(containerd), *_processes(ids)}:
        if time.monotonic() > deadline:
            raise TimeoutError(f"the processes {sorted(pids)} of containers do not end, even killed")
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        time.sleep(0.1)


def remove_cgroups(ids: Sequence[str]) -> None:
    """Remove the cgroups of containers with these ids, those below them, and that above them when it is empty."""
    for folder in _cgroups(ids):
        for path, _, _ in os.walk(folder, topdown=False):
            _remove_cgroup(Path(path))
        _remove_if_empty(folder.parent)


def _remove_cgroup(folder: Path) -> None:
    """Remove one cgroup; the kernel may need a moment until it has forgotten the processes that were in it."""
    deadline = time.monotonic() + KILL_SECONDS
    while True:
        try:
            folder.rmdir()
        except FileNotFoundError:
            return  # a shim was faster
        except OSError as error:
            if error.errno != errno.EBUSY or time.monotonic() > deadline:
                raise
            time.sleep(0.05)
        else:
            return


def unmount(folders: Iterable[Path]) -> None:
    """Unmount everything mounted under `folders`, the latest first."""
    for point in find_mounts(folders):
        # Lazily: a mount that somebody still looks into goes when they look away.
        subprocess.run(["umount", "--lazy", point], check=True, capture_output=True)


def find_mounts(folders: Iterable[Path]) -> list[str]:
    """The mount points under `folders`, the latest first."""
    return mount_points(Path("/proc/self/mountinfo").read_text(), folders)


def mount_points(mountinfo: str, folders: Iterable[Path]) -> list[str]:
    """The mount points under `folders` in a /proc/self/mountinfo, the latest first."""
    points = (_unescape(line.split()[4]) for line in mountinfo.splitlines())
    below = tuple(folders)
    return [point for point in points if any(Path(point).is_relative_to(folder) for folder in below)][::-1]


def remove_files(ids: Sequence[str], folder: Path) -> None:
    """Remove our files from folders that all kubelets share: of containers with these ids, or links into `folder`."""
    for path in (*SHIM_SOCKETS.glob("*"), *DEVICE_PLUGINS.glob("*.sock")):
        if not _listens(path):
            path.unlink()
    for path in LOG_LINKS.glob("*.log"):
        if path.is_symlink() and path.readlink().is_relative_to(folder):
            path.unlink()
    for path in CNI_RESULTS.glob("*"):
        if any(name in path.name for name in ids):
            path.unlink()
    for shared in SHARED_FOLDERS:
        _remove_if_empty(shared)


def _remove_if_empty(folder: Path) -> None:
    with contextlib.suppress(OSError):
        folder.rmdir()


def _listens(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        return connection.connect_ex(str(path)) == 0


def _unescape(field: str) -> str:
    """Spaces and the like are octal in mountinfo (proc(5))."""
    for code in ("040", "011", "012", "134"):
        field = field.replace(f"\\{code}", chr(int(code, 8)))
    return field


def _shims(containerd: Path) -> Iterator[int]:
    """The shims of this containerd. They have no parent process; their command lines name their containerd."""
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            program, *arguments = (process / "cmdline").read_bytes().decode(errors="replace").split("\0")
            if Path(program).name.startswith("containerd-shim") and str(containerd) in arguments:
                yield int(process.name)


def _processes(ids: Sequence[str]) -> Iterator[int]:
    for folder in _cgroups(ids):
        with contextlib.suppress(FileNotFoundError):  # its shim removes it when the last process has ended
            for path in folder.rglob("cgroup.procs"):
                with contextlib.suppress(OSError):
                    yield from (int(pid) for pid in path.read_text().split())


def _cgroups(ids: Sequence[str]) -> list[Path]:
    """The folders of the containers' cgroups: one each with cgroup v2, one a controller with v1."""
    hierarchies = [CGROUPS, *(path for path in CGROUPS.iterdir() if path.is_dir())]
    paths = (hierarchy / CONTAINERS_CGROUP / name for hierarchy in hierarchies for name in ids)
    return [path for path in paths if path.is_dir()]

"""A folder's volume with a cold page cache, as slow as a network file system."""

import os
from pathlib import Path

GROUP = "bench-load"
VERSION_1, VERSION_2 = Path("/sys/fs/cgroup/blkio"), Path("/sys/fs/cgroup")


def drop_cache(folder: Path) -> None:
    """Have nothing of the folder's files in memory. They must not be mapped by any process."""
    os.sync()
    for path in folder.iterdir():
        file = os.open(path, os.O_RDONLY)
        try:
            os.posix_fadvise(file, 0, 0, os.POSIX_FADV_DONTNEED)
        finally:
            os.close(file)


class SlowVolume:
    """A control group whose processes read so many bytes a second at the most from the folder's disk."""

    def __init__(self, folder: Path, bytes_per_second: int) -> None:
        device = folder.stat().st_dev
        disk = f"{os.major(device)}:{os.minor(device)}"
        version_1 = VERSION_1.is_dir()
        self._group = (VERSION_1 if version_1 else VERSION_2) / GROUP
        self._group.mkdir(exist_ok=True)
        limit, text = (
            ("blkio.throttle.read_bps_device", f"{disk} {bytes_per_second}")
            if version_1
            else ("io.max", f"{disk} rbps={bytes_per_second}")
        )
        (self._group / limit).write_text(text)

    def take(self, process: int) -> None:
        """Slow a process down. Raises OSError where the kernel refuses."""
        (self._group / "cgroup.procs").write_text(str(process))

    def remove(self) -> None:
        """Take the group away; its processes have ended."""
        self._group.rmdir()

"""What kind of file system a folder is on, how it is mounted, and what such a mount needs for a download."""

import os
import re
from dataclasses import dataclass
from pathlib import Path

MOUNTS = Path("/proc/self/mountinfo")
SMB = re.compile(r"cifs|smb")
OBJECT_STORE = re.compile(r"fuse\.(?:gcsfuse|s3fs|mount-s3|mountpoint-s3|blobfuse2?|ossfs|goofys|geesefs|rclone)")


@dataclass(frozen=True)
class Mount:
    """A line of /proc/self/mountinfo."""

    kind: str
    """Such as ext4, nfs4, cifs, fuse.s3fs."""

    options: str
    """Those of the file system, as the kernel shows them."""

    def __str__(self) -> str:
        return f"{self.kind}, mounted with {self.options}" if self.options else self.kind

    @property
    def advice(self) -> str:
        """What to change where the folder cannot be used."""
        user, group = os.geteuid(), os.getegid()
        if SMB.search(self.kind):
            return (
                f"give the StorageClass or the volume these mountOptions: uid={user}, gid={group}, dir_mode=0775, "
                "file_mode=0664, noperm, mfsymlinks, nobrl. On SMB only the mount options decide who may do what"
            )
        if self.kind.startswith("nfs"):
            return f"let uid {user} or gid {group} write to the export (owner, mode, root_squash); NFS ignores fsGroup"
        if OBJECT_STORE.match(self.kind):
            return (
                "choose a deepseek:storage.storageClass of a real file system (NFS, CephFS, Lustre …); an object store "
                "mounted by FUSE does not rename over files, or write in the middle of them"
            )
        return "set owner and mode of its folder, or choose another deepseek:storage.storageClass"


def mounted_at(folder: Path) -> Mount:
    """Return the mount that a folder is on; one of an unknown kind where that cannot be read."""
    try:
        lines = MOUNTS.read_text().splitlines()
    except OSError:
        return Mount("of unknown kind", "")
    wanted, best, found = os.path.realpath(folder), "", Mount("of unknown kind", "")
    for line in lines:
        before, _, after = line.partition(" - ")
        point = re.sub(r"\\(\d{3})", lambda octal: chr(int(octal[1], 8)), before.split()[4])
        if len(point) >= len(best) and (wanted == point or wanted.startswith(point.rstrip("/") + "/")):
            kind, _, options = after.split()[:3]
            best, found = point, Mount(kind, options)
    return found

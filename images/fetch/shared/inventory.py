"""The files of one commit: what there is to download and, as the marker, what was downloaded and verified.

Both are the same JSON document. The inventory is written once the commit is known and its small files are there; the
marker, after every byte was verified. Each appears under its name in one step and only after it is on the disk, so a
document that exists is whole.
"""

import json
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

INVENTORY, MARKER = "inventory.json", "complete.json"


@dataclass(frozen=True)
class ModelFile:
    """A file of the commit."""

    path: str
    """Relative to the model's folder."""
    size: int
    """In bytes; of the content, not of the pointer."""
    blob: str
    """Git's id of the file, or of its pointer."""
    sha256: str
    """Of the content when Git LFS holds it. Empty for a small file, whose digest is Git's id."""


@dataclass(frozen=True)
class Inventory:
    """All files of the commit that the revision named when the download began."""

    repository: str
    revision: str
    commit: str
    files: tuple[ModelFile, ...]

    @property
    def large(self) -> list[ModelFile]:
        """The Git LFS objects, each once, under the first of its paths."""
        return list({file.sha256: file for file in reversed(self.files) if file.sha256}.values())

    @property
    def small(self) -> list[ModelFile]:
        """The files that Git itself holds."""
        return [file for file in self.files if not file.sha256]

    @property
    def size(self) -> int:
        """In bytes, of all files."""
        return sum(file.size for file in self.files)

    def is_on(self, directory: Path) -> bool:
        """Whether every file is in the folder with its size. Reads no content: 200 files take milliseconds."""
        return all(size_of(directory / file.path) == file.size for file in self.files)

    def write(self, path: Path) -> None:
        """Make the document appear at `path`, whole."""
        unfinished = path.with_suffix(f".{os.getpid()}.new")
        with unfinished.open("w") as file:
            json.dump(asdict(self) | {"bytes": self.size}, file, indent=1)
            file.flush()
            os.fsync(file.fileno())
        unfinished.replace(path)
        sync(path.parent)


def read(path: Path) -> Inventory | None:
    """Return the document; None when there is none, or a damaged one: then the work is done again."""
    try:
        content = json.loads(path.read_bytes())
        files = tuple(ModelFile(**file) for file in content["files"])
        return Inventory(content["repository"], content["revision"], content["commit"], files)
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        return None


def shares(files: Sequence[ModelFile], pods: int) -> list[list[ModelFile]]:
    """Divide alike in every pod: the largest file first, each to the share that is smallest so far."""
    result: list[list[ModelFile]] = [[] for _ in range(pods)]
    sizes = [0] * pods
    for file in sorted(files, key=lambda file: (-file.size, file.path)):
        smallest = sizes.index(min(sizes))
        result[smallest].append(file)
        sizes[smallest] += file.size
    return result


def size_of(path: Path) -> int:
    """Return a file's size in bytes, -1 when there is none."""
    try:
        return path.lstat().st_size
    except (FileNotFoundError, NotADirectoryError):
        return -1


def sync(path: Path) -> None:
    """Return once the file, or the names in the folder, are on the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)

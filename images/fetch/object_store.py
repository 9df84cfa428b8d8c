"""The Git LFS objects on the volume, each once: in `.git/lfs/objects`, and under its name in the model's folder.

Both names are hard links to the same bytes, so that git-lfs still finds its object. Where the file system has no hard
links, the object moves from the one place to the other.
"""

import hashlib
import os
import shutil
from collections.abc import Collection, Iterable
from pathlib import Path

from inventory import Inventory, ModelFile, size_of, sync

OID_LENGTH = 64
READABLE = 0o444
PAGE_BYTES = 1 << 20
"""A web page is shorter."""


class ObjectStore:
    """Where the objects of one inventory are. `files` are always large ones."""

    def __init__(self, directory: Path, inventory: Inventory) -> None:
        self.directory = directory
        self.lfs = directory / ".git" / "lfs"
        self.incomplete = self.lfs / "incomplete"
        self.paths: dict[str, list[Path]] = {}
        for file in inventory.files:
            if file.sha256:
                self.paths.setdefault(file.sha256, []).append(directory / file.path)

    def object_path(self, file: ModelFile) -> Path:
        """Return where git-lfs keeps the object."""
        return self.lfs / "objects" / file.sha256[:2] / file.sha256[2:4] / file.sha256

    def locate(self, file: ModelFile) -> Path | None:
        """Return where the content is; None when it was not downloaded yet, or not all of it."""
        places = (self.object_path(file), *self.paths[file.sha256])
        return next((path for path in places if size_of(path) == file.size), None)

    def missing(self, files: Iterable[ModelFile]) -> list[ModelFile]:
        """Return those that are still to be downloaded."""
        return [file for file in files if not self.locate(file)]

    def received(self, files: Iterable[ModelFile]) -> int:
        """Return how many bytes are on the volume, those of transfers in progress included."""
        partial: dict[str, int] = {}
        for path in self._unfinished():
            oid = path.name[:OID_LENGTH]
            partial[oid] = max(partial.get(oid, 0), size_of(path))
        return sum(file.size if self.locate(file) else partial.get(file.sha256, 0) for file in files)

    def recover(self, files: Iterable[ModelFile]) -> None:
        """Let git-lfs go on with what a killed process left.

        It resumes `OID.part`, but does not know its own temporary files, `OID` and a random number.
        """
        leftovers: dict[str, list[Path]] = {}
        for path in self._unfinished():
            leftovers.setdefault(path.name[:OID_LENGTH], []).append(path)
        for file in self.missing(files):
            if file.sha256 in leftovers:
                *shorter, longest = sorted(leftovers[file.sha256], key=size_of)
                for path in shorter:
                    path.unlink()
                self._keep(longest, file)

    def _keep(self, leftover: Path, file: ModelFile) -> None:
        if size_of(leftover) < file.size:
            leftover.rename(self.incomplete / f"{file.sha256}.part")
        elif sha256(leftover) == file.sha256:
            self.object_path(file).parent.mkdir(parents=True, exist_ok=True)
            leftover.rename(self.object_path(file))
        else:
            leftover.unlink()

    def _unfinished(self) -> list[Path]:
        return list(self.incomplete.iterdir()) if self.incomplete.is_dir() else []

    def discard_pages(self, oids: Collection[str]) -> None:
        """Remove what came of these objects and may be a web page: git-lfs would go on after its last byte."""
        for path in self._unfinished():
            if path.name[:OID_LENGTH] in oids and size_of(path) <= PAGE_BYTES:
                path.unlink()

    def discard(self, file: ModelFile) -> None:
        """Remove a damaged object under all of its names."""
        for path in (self.object_path(file), *self.paths[file.sha256]):
            path.unlink(missing_ok=True)

    def place(self, file: ModelFile) -> None:
        """Give the object its names in the model's folder, readable for everyone. Each appears in one step."""
        source = self.locate(file)
        if not source:
            raise FileNotFoundError(f"{file.path} is placed before it was downloaded")
        if source.stat().st_mode & READABLE != READABLE:
            source.chmod(0o644)
        for target in self.paths[file.sha256]:
            if size_of(target) != file.size or not target.samefile(source):
                target.parent.mkdir(parents=True, exist_ok=True)
                source = self._place(source, target)
                sync(target.parent)

    def _place(self, source: Path, target: Path) -> Path:
        """Link, move or copy; returns where the content is afterwards."""
        link = self.directory / ".git" / "fetch" / "link"
        link.unlink(missing_ok=True)
        try:
            os.link(source, link)
        except OSError:
            if source.is_relative_to(self.lfs):
                return source.replace(target)
            shutil.copyfile(source, link)
        link.replace(target)
        return source

    def clean(self) -> None:
        """Remove what was left of transfers that are over."""
        shutil.rmtree(self.incomplete, ignore_errors=True)


def sha256(path: Path) -> str:
    """Return a file's digest."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()

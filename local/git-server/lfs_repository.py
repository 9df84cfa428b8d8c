"""Bare Git repositories whose large files are Git LFS objects, written with plain `git`, without git-lfs."""

import hashlib
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

POINTER = "version https://git-lfs.github.com/spec/v1\noid sha256:{oid}\nsize {size}\n"
AUTHOR = {
    f"GIT_{who}_{what}": value
    for who in ("AUTHOR", "COMMITTER")
    for what, value in (("NAME", "deepseek"), ("EMAIL", "deepseek@example.com"), ("DATE", "2026-01-01T00:00:00Z"))
}
ALONE = {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1"}


def commit(repository: Path, files: Path, branch: str = "main", large: str = "*.safetensors") -> str:
    """Put the folder `files` onto `branch` of the bare `repository`, made if need be; returns the commit.

    Files that match the pattern `large` move into `repository/lfs/objects`, and the folder keeps their pointers. Author
    and date are fixed, so that equal files and history give an equal commit.
    """
    if not repository.exists():
        git(repository, "init", "--quiet", "--bare", "--initial-branch", branch)
        git(repository, "config", "http.receivepack", "true")
    for path in sorted(files.rglob(large)):
        store(repository, path)
    (files / ".gitattributes").write_text(f"{large} filter=lfs diff=lfs merge=lfs -text\n")
    with tempfile.TemporaryDirectory() as scratch:
        index = Path(scratch) / "index"
        git(repository, "add", "--all", ".", files=files, index=index)
        tree = git(repository, "write-tree", index=index)
    parents = git(repository, "for-each-ref", "--format=%(objectname)", f"refs/heads/{branch}").split()
    new = git(repository, "commit-tree", tree, "-m", "Add the model", *(f"-p{parent}" for parent in parents))
    git(repository, "update-ref", f"refs/heads/{branch}", new)
    return new


def store(repository: Path, path: Path) -> None:
    """Move a file into the object store and leave its pointer in its place."""
    with path.open("rb") as file:
        oid = hashlib.file_digest(file, "sha256").hexdigest()
    target = repository / "lfs" / "objects" / oid[:2] / oid[2:4] / oid
    target.parent.mkdir(parents=True, exist_ok=True)
    pointer = POINTER.format(oid=oid, size=path.stat().st_size)
    shutil.move(path, target)
    path.write_text(pointer)


def git(repository: Path, *arguments: str, files: Path | None = None, index: Path | None = None) -> str:
    """Return the output of a git command that nobody's own configuration changes."""
    variables = {**os.environ, **AUTHOR, **ALONE, "GIT_DIR": str(repository.resolve())}
    if files:
        variables["GIT_WORK_TREE"] = str(files.resolve())
    if index:
        variables["GIT_INDEX_FILE"] = str(index)
    done = subprocess.run(["git", *arguments], env=variables, cwd=files, check=True, stdout=subprocess.PIPE, text=True)
    return done.stdout.strip()

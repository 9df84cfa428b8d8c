"""The model's repository through the real `git`: its revisions, its files, its pointers.

The token reaches git and git-lfs by a credential helper that reads it from the environment. It is given to the
repository's own server only, so that neither a redirect nor a foreign `.lfsconfig` gets it, and it stands in no file,
argument or message.
"""

import difflib
import os
import re
import shutil
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit

from connections import without_secrets
from download_settings import DownloadSettings
from failure import Failed, Interrupted
from inventory import Inventory, ModelFile
from links import check_links, check_names
from meanings import explain, repository_is_a_page
from repository_address import PROTOCOLS

COMMIT = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")
POINTER = re.compile(
    rb"version https://git-lfs\.github\.com/spec/v1\n(?:[\w.-]+ [^\n]*\n)*?oid sha256:([0-9a-f]{64})\nsize (\d+)\n"
)
POINTER_BYTES = 1024
"""A pointer is smaller, says Git LFS's specification."""
CONCURRENT_TRANSFERS = 8
CREDENTIALS = '!f() { if [ "$1" = get ]; then echo "username=$MODEL_USER"; echo "password=$MODEL_TOKEN"; fi; }; f'
LINK = "120000"
"""Git's mode of a symbolic link; its blob is where it points."""
RAW = "* -text -ident -filter -eol -working-tree-encoding\n"
"""Attributes under which Git writes files byte for byte as they were committed."""


@dataclass(frozen=True)
class Entry:
    """A file of a commit as Git lists it."""

    path: str
    blob: str
    size: int
    """In bytes; of its pointer if Git LFS holds the file."""
    is_link: bool


class GitRepository:
    """The repository's `.git` in the model's folder, and the server that it comes from."""

    def __init__(self, download: DownloadSettings) -> None:
        self.download = download
        self.git_dir = download.directory / ".git"
        url = urlsplit(download.repository)
        self.environment: Mapping[str, str] = {
            **os.environ,
            "GIT_DIR": str(self.git_dir),
            "GIT_WORK_TREE": str(download.directory),
            "GIT_TERMINAL_PROMPT": "0",
            "GIT_LFS_SKIP_SMUDGE": "1",
            "GIT_ALLOW_PROTOCOL": ":".join(PROTOCOLS),
            "MODEL_USER": url.username or "token",
            "MODEL_TOKEN": download.token,
            **{f"GIT_{who}_{what}": "fetch" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")},
            **as_environment(self._configuration(f"{url.scheme}://{url.netloc.rpartition('@')[2]}")),
        }

    def _configuration(self, server: str) -> dict[str, str]:
        stall = str(self.download.stall_seconds)
        credentials = {f"credential.{server}.helper": CREDENTIALS} if self.download.token else {}
        return {
            **credentials,
            "core.bigFileThreshold": "16m",  # larger files pass through Git without being held in memory
            "http.lowSpeedLimit": "1",
            "http.lowSpeedTime": stall,
            "lfs.activitytimeout": stall,
            "lfs.basictransfersonly": "true",
            "lfs.concurrenttransfers": str(CONCURRENT_TRANSFERS),
            "lfs.transfer.maxretries": "3",
        }

    def run(self, *arguments: str, content: bytes = b"") -> bytes:
        """Return the output of a git command. Raises Failed or Interrupted with the reason."""
        done = subprocess.run(
            ["git", *arguments], env=self.environment, input=content, capture_output=True, check=False
        )
        if done.returncode:
            raise self.explain(done.stderr.decode(errors="replace"))
        return done.stdout

    def explain(self, words: str) -> Failed | Interrupted:
        """Return what the output of git or git-lfs means. Neither the token nor the proxy's password is in it."""
        token = self.download.token
        words = without_secrets(words, token, os.environ)
        return explain(words, self.download.repository, self.download.volume, token=bool(token))

    def resolve(self) -> str:
        """Return the commit that the revision names now. Raises Failed when the repository has no such revision."""
        revision = self.download.revision
        if COMMIT.fullmatch(revision):
            return revision
        lines = self.run("ls-remote", "--", self.download.repository).decode().splitlines()
        commits = {reference: commit for commit, reference in (line.split("\t") for line in lines)}
        for reference in (f"refs/heads/{revision}", f"refs/tags/{revision}^{{}}", f"refs/tags/{revision}", revision):
            if reference in commits:
                return commits[reference]
        if not commits and not self._speaks_git():
            raise repository_is_a_page(self.download.repository)
        names = sorted({re.sub(r"refs/(heads|tags)/|\^{}", "", name) for name in commits if name != "HEAD"})
        near = difflib.get_close_matches(revision, names, n=5) or names[:10]
        raise self._no("branch, tag or full commit", f" (it has {', '.join(near)})" if near else " (it is empty)")

    def _speaks_git(self) -> bool:
        """Whether the server sends packets of Git's protocol; git reads a web page without a line break as no refs."""
        done = subprocess.run(
            ["git", "ls-remote", self.download.repository],
            env={**self.environment, "GIT_TRACE_PACKET": "1"},
            capture_output=True,
            check=False,
        )
        return b"packet:" in done.stderr

    def _no(self, kind: str, found: str = "") -> Failed:
        url, revision = self.download.repository, self.download.revision
        return Failed(f"{url} has no {kind} {revision!r}{found}: correct deepseek:model.revision.")

    def clone(self, commit: str) -> Inventory:
        """Get the commit without its history and large files, and write its small files into the model's folder.

        Raises Failed before anything is written when a name or a symbolic link of the commit leaves that folder.
        """
        self._start_over()
        self.run("init", "--quiet")
        self.run("remote", "add", "--", "origin", self.download.repository)
        self.run("config", "lfs.repositoryformatversion", "0")  # or each git-lfs would, all pods at the same time
        (self.git_dir / "info").mkdir(exist_ok=True)
        (self.git_dir / "info" / "attributes").write_text(RAW)
        self._fetch(commit)
        entries = self._entries(commit)
        check_names(entry.path for entry in entries)
        check_links(self._targets(entries))
        self.run("update-ref", "--no-deref", "HEAD", commit)
        self.run("read-tree", commit)
        files = tuple(self._files(entries))
        inventory = Inventory(self.download.repository, self.download.revision, commit, files)
        self.write_small(inventory.small)
        return inventory

    def _start_over(self) -> None:
        """Remove what a killed clone left. Git's part is small; the objects of Git LFS and our own state stay."""
        for path in self.git_dir.iterdir():
            if path.is_dir() and path.name not in {"lfs", "fetch"}:
                shutil.rmtree(path)
            elif not path.is_dir():
                path.unlink()

    def _fetch(self, commit: str) -> None:
        try:
            self.run("fetch", "--quiet", "--depth=1", "--no-tags", "origin", commit)
        except Interrupted as refused:
            if "not our ref" in str(refused):
                raise self._no("commit") from None
            if "unadvertised object" not in str(refused):
                raise
            self.run("fetch", "--quiet", "--tags", "origin", "+refs/heads/*:refs/remotes/origin/*")
            if commit not in self.run("rev-list", "--all").decode().split():
                raise self._no("commit") from None

    def write_small(self, files: Sequence[ModelFile]) -> None:
        """Write files that Git itself holds into the model's folder, over whatever is there."""
        paths = "".join(f"{file.path}\0" for file in files)
        self.run("checkout-index", "--force", "-z", "--stdin", content=os.fsencode(paths))

    def _entries(self, commit: str) -> list["Entry"]:
        """List the commit, without other repositories in it."""
        entries: list[Entry] = []
        for line in self.run("ls-tree", "-r", "-l", "-z", commit).decode(errors="surrogateescape").split("\0")[:-1]:
            facts, path = line.split("\t", 1)
            mode, kind, blob, size = facts.split()
            if kind == "blob":
                entries.append(Entry(path, blob, int(size), is_link=mode == LINK))
        return entries

    def _targets(self, entries: Sequence["Entry"]) -> dict[str, str]:
        """Return where each symbolic link points, by its path."""
        links = [entry for entry in entries if entry.is_link]
        targets = self._blobs([link.blob for link in links])
        return {link.path: os.fsdecode(target) for link, target in zip(links, targets, strict=True)}

    def _files(self, entries: Sequence["Entry"]) -> Iterator[ModelFile]:
        """Describe the files; size and digest of large ones are read from their pointers."""
        small = [entry.blob for entry in entries if entry.size < POINTER_BYTES and not entry.is_link]
        matches = {blob: POINTER.match(content) for blob, content in zip(small, self._blobs(small), strict=True)}
        for entry in entries:
            pointer = None if entry.is_link else matches.get(entry.blob)
            size, sha256 = (int(pointer[2]), pointer[1].decode()) if pointer else (entry.size, "")
            yield ModelFile(entry.path, size, entry.blob, sha256)

    def _blobs(self, blobs: Sequence[str]) -> Iterator[bytes]:
        """Read what Git holds, in that order."""
        output = self.run("cat-file", "--batch", content="".join(f"{blob}\n" for blob in blobs).encode())
        for _ in blobs:
            header, _, output = output.partition(b"\n")
            size = int(header.split()[2])
            yield output[:size]
            output = output[size + 1 :]

    def commit_of(self, files: Sequence[ModelFile]) -> str:
        """Make a commit of just these pointers: git-lfs can be asked for it, whatever the files' names look like."""
        entries = "".join(f"100644 blob {file.blob}\t{file.sha256}\0" for file in files)
        tree = self.run("mktree", "-z", content=entries.encode()).decode().strip()
        return self.run("commit-tree", "-m", "share", tree).decode().strip()


def as_environment(configuration: Mapping[str, str]) -> dict[str, str]:
    """Return Git configuration that is written nowhere."""
    result = {"GIT_CONFIG_COUNT": str(len(configuration))}
    for number, (key, value) in enumerate(configuration.items()):
        result |= {f"GIT_CONFIG_KEY_{number}": key, f"GIT_CONFIG_VALUE_{number}": value}
    return result

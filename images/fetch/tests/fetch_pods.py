"""Small repositories, volumes, and pods: the program as a process of its own, around the real git and git-lfs."""

import contextlib
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import lfs_repository
from faulty_server import FaultyServer

TOKEN = "hf_secret-of-the-tests"  # noqa: S105 - it opens nothing else
SETTINGS: dict[str, float] = {}
"""Constants of the program's modules that a test sets to other values in its pods."""

START = """
import importlib, json, sys
for constant, value in json.loads(sys.argv[1]).items():
    module, name = constant.rsplit(".", 1)
    setattr(importlib.import_module(module), name, value)
sys.exit(importlib.import_module(sys.argv[2]).main())
"""
ROOT = Path(__file__).parents[3]
SMALL = {"config.json": b'{"num_hidden_layers": 4}\n', "folder/notes, [draft].txt": "Größe\n".encode()}
LARGE = {
    "model-1.safetensors": 3_000_000,
    "model-2.safetensors": 2_000_000,
    "model-3.safetensors": 1_000_000,
    "model-4.safetensors": 700_001,
    "folder/odd, [name] ü.safetensors": 5_000,
}


@dataclass(frozen=True)
class Repository:
    """A repository below `root`, and what a download of its branch `main` has to give."""

    root: Path
    commit: str
    content: Mapping[str, bytes]

    @property
    def size(self) -> int:
        return sum(map(len, self.content.values()))

    def copy(self, root: Path) -> Path:
        """Return a copy that a test may change."""
        return Path(shutil.copytree(self.root / "model.git", root / "model.git"))


@dataclass(frozen=True)
class Ended:
    code: int
    log: str
    reason: str
    """The termination message."""


class PodVolume:
    """A volume, and the pods that download onto it."""

    python = Path(sys.executable)
    program = "fetch"
    folders = ("fetch", "fetch/shared", "shared")
    """Below images/, where the pod finds its modules."""

    def __init__(self, path: Path, scratch: Path) -> None:
        self.path, self.scratch = path, scratch
        self.directory = path / "model" / "main"
        self.state = self.directory / ".git" / "fetch"
        self.marker = self.state / "complete.json"
        self.pods: list[subprocess.Popen[bytes]] = []
        path.mkdir()
        scratch.mkdir()

    def address(self) -> str:
        """Return where the model is."""
        raise NotImplementedError

    def environment(self, **changes: str) -> dict[str, str]:
        return {
            "PATH": os.environ["PATH"],
            "HOME": str(self.scratch),
            "PYTHONPATH": ":".join(map(str, (*(ROOT / "images" / folder for folder in self.folders), ROOT))),
            "PYTHONDONTWRITEBYTECODE": "1",
            "TERMINATION_LOG": str(self.scratch / "termination-log"),
            "MODEL_REPOSITORY": self.address(),
            "MODEL_REVISION": "main",
            "MODEL_DIRECTORY": str(self.directory),
            "VOLUME": str(self.path),
            "PATIENCE_SECONDS": "10",
            "METRICS_PORT": "0",
            "STALL_SECONDS": "1",
            **changes,
        }

    def start(self, **changes: str) -> subprocess.Popen[bytes]:
        """Start a pod of its own process group: killing the group is what a killed container is."""
        (self.scratch / "termination-log").unlink(missing_ok=True)
        with (self.scratch / f"log-{len(self.pods)}").open("wb") as log:
            pod = subprocess.Popen(
                [self.python, "-c", START, json.dumps(SETTINGS), self.program],
                env=self.environment(**changes),
                cwd="/",
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self.pods.append(pod)
        return pod

    def end(self, pod: subprocess.Popen[bytes], seconds: float = 60) -> Ended:
        code = pod.wait(seconds)
        reason = self.scratch / "termination-log"
        log = (self.scratch / f"log-{self.pods.index(pod)}").read_text()
        return Ended(code, log, reason.read_text() if reason.exists() else "")

    def download(self, **changes: str) -> Ended:
        return self.end(self.start(**changes))

    def kill(self, pod: subprocess.Popen[bytes], number: int = signal.SIGKILL) -> None:
        os.killpg(pod.pid, number)
        pod.wait(10)

    def kill_all(self) -> None:
        for pod in self.pods:
            if pod.poll() is None:
                self.kill(pod)

    def content(self) -> dict[str, bytes]:
        return content_of(self.directory)


class Volume(PodVolume):
    """A volume whose pods download a Git repository."""

    def __init__(self, path: Path, scratch: Path, server: FaultyServer) -> None:
        super().__init__(path, scratch)
        self.server = server

    def address(self) -> str:
        return self.server.url()


def content_of(folder: Path) -> dict[str, bytes]:
    """Every file that a server would find, hidden ones of Git left out."""
    files = (path for path in folder.rglob("*") if path.is_file())
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in files
        if not path.relative_to(folder).parts[0].startswith(".git")
    }


def make_repository(root: Path, large: Mapping[str, int]) -> Repository:
    """A repository of random files of these sizes, in bytes, and two small ones."""
    source = random.Random(1)
    content = SMALL | {path: source.randbytes(size) for path, size in large.items()}
    files = root / "files"
    for path, data in content.items():
        (files / path).parent.mkdir(parents=True, exist_ok=True)
        (files / path).write_bytes(data)
    commit = lfs_repository.commit(root / "model.git", files)
    shutil.rmtree(files)
    return Repository(root, commit, content)


def make_model(sizes: Mapping[str, int]) -> dict[str, bytes]:
    """A model of random files of these sizes, in bytes, with the index that names them."""
    source = random.Random(1)
    files = {path: source.randbytes(size) for path, size in sizes.items()}
    index = {"weight_map": {str(number): path for number, path in enumerate(files)}}
    return {
        "config.json": b"{}\n",
        "empty.txt": b"",
        "model.safetensors.index.json": json.dumps(index).encode(),
        **files,
    }


def flip_bit(path: Path, position: int = 1000) -> None:
    with path.open("r+b") as file:
        file.seek(position)
        byte = file.read(1)[0]
        file.seek(position)
        file.write(bytes([byte ^ 1]))


def fill(path: Path) -> None:
    """Write until the volume has no space left."""
    with path.open("wb", buffering=0) as file, contextlib.suppress(OSError):
        while file.write(bytes(4096)):
            pass


def wait_until(condition: Callable[[], bool], seconds: float = 20) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.02)

"""What a killed run of Pulumi leaves behind on this machine, and what is done about it."""

import json
import shutil
import subprocess
from pathlib import Path

import pytest

from local import stack


def lock(folder: Path, process: int) -> Path:
    path = folder / "state" / ".pulumi" / "locks" / "organization" / stack.PROJECT / "dev" / f"{process}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"pid": process, "username": "root", "hostname": "vm"}))
    return path


@pytest.fixture
def ended() -> int:
    process = subprocess.Popen(["true"])
    process.wait()
    return process.pid


def test_the_lock_of_a_killed_engine_is_removed(tmp_path: Path, ended: int) -> None:
    left = lock(tmp_path, ended)
    stack.unlock_abandoned("dev", tmp_path)
    assert not left.exists()


def test_the_lock_of_an_engine_at_work_stays(tmp_path: Path) -> None:
    engine = tmp_path / "pulumi"
    shutil.copy("/bin/cat", engine)
    with subprocess.Popen([engine], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as running:
        assert running.stdin
        assert running.stdout
        running.stdin.write(b"at work\n")
        running.stdin.flush()
        running.stdout.readline()
        held = lock(tmp_path, running.pid)
        stack.unlock_abandoned("dev", tmp_path)
        running.kill()
    assert held.exists()


def test_a_stack_whose_cluster_is_gone_is_forgotten_with_its_locks(tmp_path: Path, ended: int) -> None:
    left = lock(tmp_path, ended)
    stack.forget("dev", tmp_path)
    assert not left.exists()

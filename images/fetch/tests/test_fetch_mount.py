"""What the mount check tries on a volume, and what it says of one that does not do it.

No file system here refuses these operations, so functions of `os` are replaced by ones that answer as SMB, object
stores and network file systems do.
"""

import errno
import os
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import filesystem
import mount
import pytest
import repetition


@pytest.fixture
def volume(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A volume that is SMB, as far as can be seen."""
    volume = tmp_path / "volume"
    volume.mkdir()
    mounts = tmp_path / "mountinfo"
    mounts.write_text(f"24 22 0:3 / {volume} rw - cifs //server/share rw,vers=3.1.1,uid=0,noserverino\n")
    monkeypatch.setattr(filesystem, "MOUNTS", mounts)
    monkeypatch.setattr(repetition, "PAUSE_SECONDS", 0.01)
    monkeypatch.setenv("VOLUME", str(volume))
    monkeypatch.setenv("TERMINATION_LOG", str(tmp_path / "termination-log"))
    return volume


@pytest.fixture
def message(volume: Path) -> Path:
    return volume.parent / "termination-log"


def refuse(
    monkeypatch: pytest.MonkeyPatch, name: str, number: int, when: Callable[..., bool] = lambda *_: True
) -> None:
    """Let a function of `os` fail below the check's own folder."""
    real = getattr(os, name)

    def refusing(*arguments: Any, **named: Any) -> Any:
        if (".mount-check-" in str(arguments[0]) or isinstance(arguments[0], int)) and when(*arguments):
            raise OSError(number, os.strerror(number), str(arguments[0]))
        return real(*arguments, **named)

    monkeypatch.setattr(os, name, refusing)


def is_file(path: Any, *_: Any) -> bool:
    return Path(path).is_file()


def is_open_folder(number: int) -> bool:
    return stat.S_ISDIR(os.fstat(number).st_mode)


def do_nothing(*_: Any) -> None:
    pass


def test_a_volume_that_does_all_is_left_as_it_was(volume: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    assert mount.main() == 0
    assert "mounted and writable" in caplog.text
    assert not list(volume.iterdir())


@pytest.mark.parametrize("number", [errno.EPERM, errno.ENOSYS, errno.EACCES], ids=os.strerror)
@pytest.mark.parametrize(
    ("function", "operation"),
    [
        ("chmod", "chmod of a folder"),
        ("pwrite", "write and fsync of a file"),
        ("fsync", "write and fsync of a file"),
        ("replace", "rename over another file"),
    ],
)
def test_the_operation_that_fails_is_named_with_the_mount_options(
    function: str, operation: str, number: int, volume: Path, message: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    refuse(monkeypatch, function, number)
    assert mount.main() == 1
    told = message.read_text()
    assert f"this fails there: {operation} (" in told
    assert os.strerror(number) in told
    assert "(cifs, mounted with rw,vers=3.1.1,uid=0,noserverino)" in told
    assert "mountOptions: uid=" in told
    assert not list(volume.iterdir())


def test_a_file_whose_mode_cannot_be_changed_is_named(message: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    refuse(monkeypatch, "chmod", errno.EPERM, is_file)
    assert mount.main() == 1
    assert "this fails there: chmod of a file (" in message.read_text()


def test_a_folder_that_cannot_be_synced_is_named(message: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    refuse(monkeypatch, "fsync", errno.EINVAL, is_open_folder)
    assert mount.main() == 1
    assert "this fails there: fsync of a folder (" in message.read_text()


def test_an_exclusive_create_that_excludes_nobody_is_named(message: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = os.open

    def careless(path: Any, flags: int, *arguments: Any, **named: Any) -> int:
        return real(path, flags & ~os.O_EXCL if str(path).endswith("lease") else flags, *arguments, **named)

    monkeypatch.setattr(os, "open", careless)
    assert mount.main() == 1
    assert "exclusive create (O_CREAT with O_EXCL)" in message.read_text()


def test_a_rename_that_leaves_the_old_content_is_named(message: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "replace", do_nothing)
    assert mount.main() == 1
    assert "this fails there: rename over another file (" in message.read_text()


@pytest.mark.parametrize("number", [errno.EPERM, errno.EOPNOTSUPP, errno.EMLINK])
def test_without_hard_links_files_move(number: int, volume: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    refuse(monkeypatch, "link", number)
    assert mount.main() == 0
    assert not list(volume.iterdir())


def test_what_git_itself_cannot_do_is_named(message: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    git = tmp_path / "bin" / "git"
    git.parent.mkdir()
    words = "error: chmod on /v/.git/config.lock failed: Operation not permitted"
    git.write_text(f"#!/bin/sh\necho '{words}' >&2\nexit 128\n")
    git.chmod(0o755)
    monkeypatch.setenv("PATH", str(git.parent), prepend=os.pathsep)
    assert mount.main() == 1
    assert "this fails there: git init (" in message.read_text()
    assert words in message.read_text()


@pytest.mark.usefixtures("volume")
@pytest.mark.parametrize("number", [errno.ESTALE, errno.EIO, errno.ETIMEDOUT], ids=os.strerror)
def test_an_error_that_passes_is_survived(number: int, monkeypatch: pytest.MonkeyPatch) -> None:
    failures = iter([True, True, False])
    refuse(monkeypatch, "replace", number, lambda *_: next(failures, False))
    assert mount.main() == 0


@pytest.mark.parametrize("function", ["mkdir", "pwrite", "fsync"])
@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT], ids=os.strerror)
def test_a_full_volume_may_hold_the_weights(
    function: str, number: int, volume: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    refuse(monkeypatch, function, number)
    assert mount.main() == 0
    assert not list(volume.iterdir())


@pytest.mark.parametrize("number", [errno.EACCES, errno.EPERM], ids=os.strerror)
def test_a_volume_that_refuses_even_a_folder_is_a_matter_of_write_rights(
    number: int, message: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    refuse(monkeypatch, "mkdir", number)
    assert mount.main() == 1
    assert f"refuses uid {os.geteuid()}" in message.read_text()
    assert "mkdir" in message.read_text()


@pytest.mark.parametrize("function", ["mkdir", "pwrite"])
def test_a_read_only_volume_is_no_matter_of_write_rights(
    function: str, message: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    refuse(monkeypatch, function, errno.EROFS)
    assert mount.main() == 1
    assert "is read-only" in message.read_text()
    assert "mountOptions" in message.read_text()
    assert "refuses uid" not in message.read_text()

import os
import subprocess
from pathlib import Path

import pytest

from local import versions
from local.building import pip_settings
from local.images import base_images

LISTING = r"""global.index-url='https://global.example.com/simple'
global.cert='/etc/ssl/global.pem'
install.index-url='https://install.example.com/simple'
:env:.default-timeout='180'
:env:.find-links='/opt/wheels https://links.example.com/'
"""


def test_pip_obeys_the_environment_before_its_install_section_before_global() -> None:
    assert pip_settings.parse_settings(LISTING) == {
        "index-url": "https://install.example.com/simple",
        "cert": "/etc/ssl/global.pem",
        "timeout": "180",
        "find-links": "/opt/wheels https://links.example.com/",
    }


def test_a_build_gets_the_mirror_but_no_folder_of_this_machine() -> None:
    text = pip_settings.render_pip_conf(pip_settings.parse_settings(LISTING), with_certificates=True)
    assert "index-url =\n    https://install.example.com/simple\n" in text
    assert "find-links =\n    https://links.example.com/\n" in text
    assert "cert = /run/secrets/ca.crt\n" in text
    assert "/opt/wheels" not in text


def test_without_certificates_pip_uses_its_own() -> None:
    assert "cert" not in pip_settings.render_pip_conf({}, with_certificates=False)


def test_the_ray_image_is_made_again_when_its_lock_changes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = base_images.ray_key()
    assert base_images.ray_key() == before
    lock = tmp_path / "lock.txt"
    lock.write_text(base_images.REQUIREMENTS.read_text() + "# changed\n")
    monkeypatch.setattr(base_images, "REQUIREMENTS", lock)
    assert base_images.ray_key() != before


def test_the_lock_has_the_pinned_ray_and_a_hash_for_everything() -> None:
    lock = base_images.REQUIREMENTS.read_text()
    assert f"\nray[default]=={versions.RAY} \\" in lock or f"\nray=={versions.RAY} \\" in lock
    pinned = [line for line in lock.splitlines() if "==" in line and not line.lstrip().startswith("#")]
    assert all(line.endswith("\\") for line in pinned), "each is followed by its hashes"
    assert "://" not in lock, "a lock names no package index"


def test_images_have_the_public_ones_names() -> None:
    assert base_images.PYTHON == ("library/python", "3.11-bookworm")
    assert base_images.RAY == ("rayproject/ray", "2.60.0-py311-cpu")
    assert base_images.BUILDKIT == ("moby/buildkit", "v0.34.2")


@pytest.fixture
def fake_buildkit(tmp_path: Path) -> dict[str, str]:
    stubs = {
        "buildkitd": 'echo "$@" >> "$RECORD"; touch "$RECORD.up"; exec sleep 60',
        "buildctl": '[ -e "$RECORD.up" ] || exit 1; [ "$2" = debug ] || { echo "$@" >> "$RECORD"; exit "$STATUS"; }',
    }
    for name, script in stubs.items():
        (tmp_path / name).write_text(f"#!/bin/sh\n{script}\n")
        (tmp_path / name).chmod(0o755)
    path = f"{tmp_path}:{os.environ['PATH']}"
    return {"PATH": path, "RECORD": str(tmp_path / "record"), "TMPDIR": str(tmp_path), "STATUS": "0"}


@pytest.mark.parametrize("status", ["0", "7"])
def test_one_build_runs_against_a_daemon_of_its_own_and_gives_its_status(
    fake_buildkit: dict[str, str], status: str
) -> None:
    environment = fake_buildkit | {"STATUS": status, "BUILDKITD_FLAGS": "--oci-worker-net=host --debug"}
    command = [str(base_images.BUILDCTL_DAEMONLESS), "build", "--progress=plain"]
    done = subprocess.run(["/bin/sh", *command], env=environment, capture_output=True, timeout=20, check=False)
    assert done.returncode == int(status)
    daemon, client = Path(environment["RECORD"]).read_text().splitlines()
    assert daemon.endswith(" --oci-worker-net=host --debug")
    assert client.endswith(" build --progress=plain")


def test_a_daemon_that_does_not_start_is_told_with_its_log(fake_buildkit: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "buildkitd").write_text("#!/bin/sh\necho no such snapshotter >&2; exit 1\n")
    command = ["/bin/sh", str(base_images.BUILDCTL_DAEMONLESS), "build"]
    done = subprocess.run(command, env=fake_buildkit, capture_output=True, text=True, timeout=20, check=False)
    assert done.returncode == 1
    assert "no such snapshotter" in done.stderr

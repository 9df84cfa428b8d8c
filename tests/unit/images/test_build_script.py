"""images/build.sh, run with a program in BuildKit's place that plays a registry and notes what it is asked for."""

import os
import re
import stat
import subprocess
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

from components.image.build_record import parse
from components.shared.content import IMAGES

DIGESTS = {name: f"sha256:{character * 64}" for name, character in (("image", "a"), ("base", "b"), ("buildkit", "c"))}
REFERENCE = "registry.example.com/team/ray-vllm:abc"
BASE = "docker.io/rayproject/ray:2.60.0-py312-cu130"
BUILDKIT = "docker.io/moby/buildkit:v0.34.2"

PLAYED = """#!/bin/sh
# Plays a registry of files, one an image, with its digest; what is pushed is there from then on.
for argument in "$@"; do
  case $argument in
    --local=dockerfile=*) folder=${argument#--local=dockerfile=} ;;
    --output=type=image,name=*) pushed=${argument#*name=}; pushed=${pushed%%,*} ;;
    --output=type=local,dest=*) target=${argument#*dest=} ;;
  esac
done
name() { echo "$1" | tr '/:@' '___'; }
echo "$@" >> ROOT/asked
wanted=$(sed -n 's/^FROM //p' "$folder/Dockerfile")
if [ -n "${pushed:-}" ]; then
  [ ! -e ROOT/broken ] || exit 1
  echo "DIGEST" > "ROOT/registry/$(name "$pushed")"
  [ ! -e "$folder/resolved" ] || cp "$folder/resolved" "ROOT/registry/$(name "$pushed").resolved"
  exit
fi
[ -e "ROOT/registry/$(name "$wanted")" ] || { echo "$wanted: not found" >&2; exit 1; }
echo "#4 [1/1] FROM $wanted@$(cat "ROOT/registry/$(name "$wanted")")"
[ -z "${target:-}" ] || cp "ROOT/registry/$(name "$wanted").resolved" "$target/resolved"
"""


@dataclass(frozen=True)
class Pod:
    """What a build pod has: the context, and programs."""

    root: Path

    def has(self, reference: str, digest: str) -> None:
        name = reference.translate(str.maketrans("/:@", "___"))
        (self.root / "registry" / name).write_text(f"{digest}\n")

    def build(self, base: str = BASE, **site: str) -> subprocess.CompletedProcess[str]:
        script = (IMAGES / "build.sh").read_text()
        # A path begins after a space, a quote, an equals sign; /state/context is not the mounted /context.
        script = re.sub(r"(?<![\w/])/(?=context|state|secrets|dev/termination-log)", f"{self.root}/", script)
        environment = {
            "PATH": f"{self.root}/bin:{os.environ['PATH']}",
            "REFERENCE": REFERENCE,
            "BASE": base,
            "BUILDKIT": BUILDKIT,
            **site,
        }
        command = ["sh", "-c", script, "build.sh", "--opt=build-arg:REQUIREMENTS=lock.txt"]
        return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)

    def told(self) -> dict[str, str]:
        return parse((self.root / "dev/termination-log").read_text())

    def asked(self) -> list[str]:
        return (self.root / "asked").read_text().splitlines()


@pytest.fixture
def pod(tmp_path: Path) -> Pod:
    for folder in ("bin", "context", "secrets", "registry", "dev"):
        (tmp_path / folder).mkdir()
    program = tmp_path / "bin/buildctl-daemonless.sh"
    program.write_text(PLAYED.replace("ROOT", str(tmp_path)).replace("DIGEST", DIGESTS["image"]))
    program.chmod(program.stat().st_mode | stat.S_IEXEC)
    (tmp_path / "context/Dockerfile").write_text("ARG BASE\n")
    (tmp_path / "context/bill-of-materials.cdx.json").write_text("{}")
    found = Pod(tmp_path)
    found.has(BASE, DIGESTS["base"])
    found.has(BUILDKIT, DIGESTS["buildkit"])
    return found


RESOLVED = {
    "base": f"{BASE}@{DIGESTS['base']}",
    "buildkit": f"{BUILDKIT}@{DIGESTS['buildkit']}",
    "image": f"{REFERENCE}@{DIGESTS['image']}",
}


def test_a_build_stands_on_the_digest_that_it_tells_and_labels(pod: Pod) -> None:
    assert pod.build().returncode == 0
    assert pod.told() == RESOLVED
    [build] = [asked for asked in pod.asked() if f"name={REFERENCE}," in asked]
    for option in (
        f"--opt=build-arg:BASE={RESOLVED['base']}",
        "--opt=build-arg:REQUIREMENTS=lock.txt",
        f"--opt=label:org.opencontainers.image.base.name={BASE}",
        f"--opt=label:org.opencontainers.image.base.digest={DIGESTS['base']}",
        f"--opt=label:deepseek-on-kubernetes/buildkit={RESOLVED['buildkit']}",
        "--opt=attest:provenance=mode=max",
    ):
        assert option in build.split()


def test_a_base_that_is_named_by_digest_is_labelled_without_saying_it_twice(pod: Pod) -> None:
    pinned = f"{BASE}@{DIGESTS['base']}"
    pod.has(pinned, DIGESTS["base"])
    assert pod.build(pinned).returncode == 0
    assert pod.told()["base"] == pinned


def test_an_image_that_is_there_is_not_built_and_what_it_was_built_from_is_told(pod: Pod) -> None:
    pod.build()
    before = len(pod.asked())
    pod.has(BASE, "sha256:" + 64 * "f")
    (pod.root / "dev/termination-log").unlink()
    assert pod.build().returncode == 0
    assert pod.told() == RESOLVED, "the base image of today is not the one of the build"
    assert not [asked for asked in pod.asked()[before:] if "--output=type=image" in asked]


def test_an_image_without_a_record_is_taken_and_told_alone(pod: Pod) -> None:
    pod.has(REFERENCE, DIGESTS["image"])
    assert pod.build().returncode == 0
    assert pod.told() == {"image": RESOLVED["image"]}


def test_a_base_that_is_not_there_fails_with_what_buildkit_says(pod: Pod) -> None:
    failed = pod.build("docker.io/rayproject/absent:1")
    assert failed.returncode != 0
    assert "docker.io/rayproject/absent:1: not found" in failed.stderr
    assert not (pod.root / "dev/termination-log").exists(), "else the kubelet would not tell the end of the log"


def test_the_record_is_in_the_registry_before_the_image(pod: Pod) -> None:
    """An image that is there is never built again: one without a record would stay without."""
    pod.build()
    pushed = [
        asked.split("type=image,name=")[1].split(",")[0] for asked in pod.asked() if "--output=type=image" in asked
    ]
    assert pushed == [f"{REFERENCE}.record", REFERENCE]


def test_a_push_that_fails_fails_the_build(pod: Pod) -> None:
    (pod.root / "broken").touch()
    assert pod.build().returncode != 0


def test_secrets_are_given_to_the_build_where_they_are_mounted(pod: Pod) -> None:
    for name in ("push/.dockerconfigjson", "pip/pip.conf", "pip/ca.crt"):
        (pod.root / "secrets" / name).parent.mkdir(exist_ok=True)
        (pod.root / "secrets" / name).write_text("x")
    assert pod.build().returncode == 0
    [build] = [asked for asked in pod.asked() if f"name={REFERENCE}," in asked]
    assert f"--secret=id=pip.conf,src={pod.root}/secrets/pip/pip.conf" in build
    assert f"--secret=id=ca.crt,src={pod.root}/secrets/pip/ca.crt" in build
    assert (pod.root / "state/.docker/config.json").exists()


def variables(pod: Pod) -> dict[str, str]:
    """Return what a step of a build finds in its secret `proxy`."""
    names = ("HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy", "NO_PROXY", "no_proxy")
    script = f". {pod.root}/state/proxy; " + "; ".join(f'echo "${name}"' for name in names)
    said = subprocess.run(["sh", "-c", script], env={}, capture_output=True, text=True, check=True).stdout
    return dict(zip(names, said.splitlines(), strict=True))


def test_buildkit_and_each_step_leave_by_the_sites_proxy_and_nothing_records_its_password(pod: Pod) -> None:
    proxy = {"PROXY": "http://proxy.example.com:3128", "PROXY_USERNAME": "site user", "PROXY_PASSWORD": "p@ss/'1%"}
    assert pod.build(**proxy, NO_PROXY=".example.com,10.0.0.0/8").returncode == 0
    found = variables(pod)
    assert found.pop("NO_PROXY") == found.pop("no_proxy") == ".example.com,10.0.0.0/8"
    [address] = set(found.values())
    parts = urlsplit(address)
    assert (unquote(parts.username or ""), unquote(parts.password or "")) == ("site user", "p@ss/'1%")
    assert (parts.scheme, parts.hostname, parts.port) == ("http", "proxy.example.com", 3128)
    builds = [asked for asked in pod.asked() if f"name={REFERENCE}," in asked]
    assert all(f"--secret=id=proxy,src={pod.root}/state/proxy" in asked.split() for asked in builds)
    assert not any("3128" in asked for asked in pod.asked())


def test_a_proxy_without_credentials_is_taken_as_it_is(pod: Pod) -> None:
    assert pod.build(PROXY="http://proxy.example.com:3128").returncode == 0
    assert variables(pod)["https_proxy"] == "http://proxy.example.com:3128"


def test_the_sites_authorities_are_trusted_beside_the_usual_ones(pod: Pod) -> None:
    authorities = pod.root / "ca.crt"
    authorities.write_text("the company's")
    assert pod.build(AUTHORITIES=str(authorities)).returncode == 0
    trusted = (pod.root / "state/trusted.crt").read_text()
    assert "BEGIN CERTIFICATE" in trusted
    assert trusted.endswith("the company's")
    [build] = [asked for asked in pod.asked() if f"name={REFERENCE}," in asked]
    assert f"--secret=id=ca.crt,src={pod.root}/state/trusted.crt" in build.split()


def test_pips_own_authority_comes_before_the_sites(pod: Pod) -> None:
    (pod.root / "secrets/pip").mkdir()
    (pod.root / "secrets/pip/ca.crt").write_text("pip's")
    authorities = pod.root / "ca.crt"
    authorities.write_text("the company's")
    assert pod.build(AUTHORITIES=str(authorities)).returncode == 0
    [build] = [asked for asked in pod.asked() if f"name={REFERENCE}," in asked]
    given = [word for word in build.split() if word.startswith("--secret=id=ca.crt")]
    assert given[-1].endswith("secrets/pip/ca.crt")

"""That `make lint` finds what it is there for, and that what it lets pass has a reason."""

import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.lint import waivers
from tests.lint.__main__ import BIN, SECRETS
from tests.lint.manifests import Finding, of_api_server, of_registrations, ours

# In parts, so that this file has none of them.
LEAKS = {
    "a private key": "-----BEGIN RSA PRIVATE" + " KEY-----\nMIIE\n",
    "a key of AWS": "key: AKIA" + "Q3EGZ7" + "XAMPLE4TWO",
    "a token of GitHub": "token = ghp_" + "a1B2c3D4e5F6" + "g7H8i9J0k1L2" + "m3N4o5P6q7R8",
    "a password in an address": "url: https://user:" + "s3cr3tW0rd@registry.example.com",
    "random letters": 'setting = "' + "q83vEjRWeJ" + "Crze8SNFZ4" + "kKvN7xI0Vn" + 'iQq83vEjRWeA=="',
}


@pytest.mark.parametrize("text", LEAKS.values(), ids=LEAKS)
def test_a_secret_in_a_file_is_found(text: str, tmp_path: Path) -> None:
    (tmp_path / "settings.yaml").write_text(text)
    done = subprocess.run([BIN / "detect-secrets-hook", *SECRETS, "settings.yaml"], cwd=tmp_path, check=False)
    assert done.returncode == 1


def test_a_name_of_a_secret_is_none(tmp_path: Path) -> None:
    (tmp_path / "settings.yaml").write_text(f"pushSecret: registry-credentials\nrevision: {'0123456789abcdef' * 2}\n")
    subprocess.run([BIN / "detect-secrets-hook", *SECRETS, "settings.yaml"], cwd=tmp_path, check=True)


def test_a_workflow_that_runs_a_moving_action_is_found(tmp_path: Path) -> None:
    (tmp_path / "x.yaml").write_text(
        "on: push\npermissions: {}\njobs:\n  x:\n    runs-on: ubuntu-24.04\n    steps:\n    - uses: pulumi/actions@v6\n"
    )
    command = [BIN / "zizmor", "--offline", "--quiet", str(tmp_path / "x.yaml")]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    assert done.returncode != 0
    assert "unpinned-uses" in done.stdout


def test_a_finding_is_let_pass_only_where_it_is_waived() -> None:
    waived, elsewhere = (Finding("container-seccomp-profile", name, SECCOMP) for name in ("build", "ray"))
    assert waivers.unwaived({waived, elsewhere}) == [elsewhere]


def test_a_waiver_that_covers_nothing_is_named() -> None:
    found = Finding("container-seccomp-profile", "build", SECCOMP)
    assert len(waivers.stale({found})) == len(waivers.WAIVED) - 1
    assert not [name for name in waivers.stale({found}) if "seccomp" in name]


def test_every_waiver_has_its_reason() -> None:
    reasons = [*waivers.WAIVED.values(), *waivers.IN_THE_CLUSTER.values()]
    assert not [reason for reason in reasons if not reason.endswith(".")]


SECCOMP = "The container has not configured Seccomp"


def test_a_secret_in_a_variable_and_an_image_by_tag_are_found() -> None:
    variable = {"name": "TOKEN", "valueFrom": {"secretKeyRef": {"name": "x", "key": "y"}}}
    by_digest = f"registry.example.com/x@sha256:{'0' * 64}"
    containers: list[Any] = [
        {"name": "a", "image": "x:1", "env": [variable]},
        {"name": "b", "image": by_digest, "env": []},
    ]
    item: dict[str, Any] = {
        "kind": "Job",
        "spec": {"template": {"spec": {"initContainers": containers, "containers": []}}},
    }
    assert {(found.check, found.subject) for found in ours(item)} == {
        ("secret-in-variable", "a"),
        ("image-by-tag", "a"),
    }


def test_the_pods_of_a_ray_cluster_are_looked_at_as_kuberay_makes_them() -> None:
    template: dict[str, Any] = {"metadata": {"labels": {"a": "b"}}, "spec": {"containers": []}}
    spec: dict[str, Any] = {"headGroupSpec": {"template": template}, "workerGroupSpecs": [{"template": template}]}
    cluster: dict[str, Any] = {"kind": "RayCluster", "metadata": {"name": "c"}, "spec": spec}
    pods = [item for item in of_registrations([cluster]) if item["kind"] == "Pod"]
    assert [pod["metadata"]["labels"]["ray.io/node-type"] for pod in pods] == ["head", "worker"]


def test_what_the_api_server_lists_gets_its_kind_back() -> None:
    listed: dict[tuple[str, str], Any] = {
        ("jobs", "x"): {"metadata": {"name": "x", "managedFields": []}},
        ("secrets", "y"): {"metadata": {}},
    }
    assert list(of_api_server(listed)) == [{"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "x"}}]

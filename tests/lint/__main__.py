"""`make lint` beside ruff and the types: imports, packages, workflows, scripts, Dockerfiles, secrets, manifests.

A check that does not hold here is waived where the linter reads it, with its reason beside it: in the workflow or the
script itself, in hadolint.yaml, in `SECRETS` below, in waivers.py.
"""

import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from local import paths
from local.building import builds
from tests.lint import manifests, waivers
from tests.unit.components.registrations import run, stack_file

BIN = paths.CHECKOUT / ".venv" / "bin"
ARTICLE = "a100-bf16"

SECRETS = [
    "--no-verify",  # the scan asks nobody whether what it found is a password
    # Commits and digests are random hexadecimal digits.
    "--disable-plugin=HexHighEntropyString",
    # The keys of a stack file that name a Secret look like passwords: pushSecret. Ruff reads the Python code for those.
    "--disable-plugin=KeywordDetector",
    # Hashes of packages and modules, and what was recorded: random, long, and made by `make lock` and `go mod tidy`.
    r"--exclude-files=(^|/)(requirements.*\.txt|go\.sum|.*\.json)$",
    # The names that NVIDIA gives its GPUs are words of letters and digits as long as a key.
    r"--exclude-secrets=^NVIDIA-[A-Za-z0-9-]+$",
]


def main() -> int:
    """Run all of them; return 1 if one has found something."""
    os.environ["KUBECONFIG"] = "/nonexistent"
    failed = [name for name, lint in LINTERS.items() if not _told(name, lint())]
    return 1 if failed else 0


def _told(name: str, found: str) -> bool:
    sys.stdout.write(f"{name}:\n{found}\n" if found else f"{name}: ok\n")
    sys.stdout.flush()
    return not found


def imports() -> str:
    """Return which contract of pyproject.toml an import breaks: who may know whom."""
    return _output(BIN / "lint-imports", "--no-cache")


def dependencies() -> str:
    """Return which imported packages no .in file declares, and which declared ones of the program nobody imports."""
    # The programs of a pod stand beside each other in one folder, and import each other by name.
    ours = {"images", *(Path(file).stem for file in _files("images/*.py", "local/git-server/*.py"))}
    first_party = [f"--known-first-party={name}" for name in sorted(ours)]
    return _output(
        Path(sys.executable), "-m", "deptry", ".", "--no-ansi", "--config=tests/lint/deptry.toml", *first_party
    )


def workflows() -> str:
    """Return what zizmor finds in the permissions and triggers of the workflows."""
    return _output(BIN / "zizmor", "--offline", "--quiet", ".github/workflows")


def workflow_syntax() -> str:
    """Return what actionlint finds in the workflows, with shellcheck for their scripts."""
    return _output(builds.program("actionlint"), *_files(".github/workflows/*.yaml"))


def scripts() -> str:
    """Return what shellcheck finds in the shell scripts."""
    # SC2153 takes a variable of the pod's environment, BASE, for a misspelt base.
    return _output(BIN / "shellcheck", "--exclude=SC2153", *_files("*.sh", ".ci/run"))


def dockerfiles() -> str:
    """Return what hadolint finds in the Dockerfiles."""
    return _output(BIN / "hadolint", "--config=tests/lint/hadolint.yaml", *_files("*Dockerfile"))


def secrets() -> str:
    """Return what detect-secrets takes for a password or a key in the committed files."""
    return _output(BIN / "detect-secrets-hook", *SECRETS, *_files())


def article() -> str:
    """Return what kube-score finds in what the program asks for, with every kind of pod that it may make.

    That takes a second. tests/cluster/test_article_stack.py scores the same stack as an API server has it.
    """
    config: dict[str, Any] = stack_file(ARTICLE) | {"deepseek:modelToken": "token"}
    config["deepseek:storage"]["otherRevisions"] = "remove"
    program = run(config, secrets=["deepseek:modelToken"])
    objects = [item.inputs for item in program.kubernetes() if "kind" in item.inputs]
    found = manifests.findings(builds.program("kube-score"), manifests.of_registrations(objects))
    unneeded = [f"tests/lint/waivers.py waives what is no more: {waiver}" for waiver in waivers.stale(found)]
    return "\n".join([*map(str, waivers.unwaived(found)), *unneeded])


LINTERS: Mapping[str, Callable[[], str]] = {
    "import-linter": imports,
    "deptry": dependencies,
    "zizmor": workflows,
    "actionlint": workflow_syntax,
    "shellcheck": scripts,
    "hadolint": dockerfiles,
    "detect-secrets": secrets,
    "kube-score": article,
}


def _files(*patterns: str) -> list[str]:
    listed = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard", "--", *patterns]
    names = subprocess.run(listed, cwd=paths.CHECKOUT, check=True, capture_output=True, text=True).stdout.split("\0")
    return [name for name in names if name and (paths.CHECKOUT / name).is_file()]


def _output(program: Path, *arguments: str) -> str:
    """What a linter that has found something says."""
    environment = {**os.environ, "PATH": f"{BIN}:{os.environ['PATH']}"}
    done = subprocess.run(
        [program, *arguments],
        cwd=paths.CHECKOUT,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    return (done.stdout.strip() or f"exit code {done.returncode}") if done.returncode else ""


if __name__ == "__main__":
    sys.exit(main())

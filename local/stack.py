"""Runs the program of this checkout on one of its stacks, as `pulumi` does where it has its Python language host.

    python -m local.stack preview|up|refresh|destroy|outputs STACK

The engine and the provider are the real ones; the engine talks to this process in place of a language host (Pulumi's
Automation API). The cluster is the one that KUBECONFIG names, else the embedded one if it is up, else kubectl's. State,
passphrase and the salt that a passphrase stack writes into its file stay in the state folder.
"""

import json
import os
import runpy
import secrets
import shutil
import signal
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import yaml
from pulumi import automation

from local import paths
from local.building import builds
from local.cluster import cluster, namespace

FOLDER = paths.STATE / "pulumi"
PROJECT = str(yaml.safe_load((paths.CHECKOUT / "Pulumi.yaml").read_text())["name"])
LEFT_OUT = ("@ updating", "@ previewing", "@ destroying", "@ refreshing")
"""Dots that say that time passes."""

REMARKS = ("using pulumi-resource-kubernetes from $PATH", "resource plugin kubernetes is expected to have version")
"""The engine's remarks about the provider that was built here: true, and of no use to whoever reads the output."""


def select(
    stack: str,
    kubeconfig: Path | None = None,
    overrides: Mapping[str, Any] | None = None,
    folder: Path = FOLDER,
    program: Callable[[], None] | None = None,
) -> automation.Stack:
    """Return the stack of that name, made if there is none, with the configuration of its file.

    `kubeconfig` says which cluster; without it Pulumi looks where kubectl does. `overrides` replace keys of the file.
    `folder` holds state, passphrase and what Pulumi writes. `program` runs in place of the checkout's. Raises
    FileNotFoundError when there is no such stack file.

    The state has no files of metadata beside its own: those are not written at once, and an empty one, left by a kill,
    makes the state unreadable (fileblob/attrs.go of gocloud.dev 0.37, with Pulumi 3.215).
    """
    stack_file = _stack_file(stack)
    stack_file["config"] |= overrides or {}
    work_dir = folder / "projects" / stack
    backend = folder / "state"
    for made in (work_dir, backend):
        made.mkdir(parents=True, exist_ok=True)
    _write_stack_file(work_dir / f"Pulumi.{stack}.yaml", stack_file)
    environment = {
        "PATH": builds.search_path(),
        "PULUMI_CONFIG_PASSPHRASE": _passphrase(folder),
        "PULUMI_SKIP_UPDATE_CHECK": "true",
        "PULUMI_HOME": str(folder / "home"),
    }
    if kubeconfig is not None:
        environment["KUBECONFIG"] = str(kubeconfig)
    state = automation.ProjectBackend(url=f"{backend.as_uri()}?metadata=skip")
    os.environ |= environment  # the program and the engine see the same
    return automation.create_or_select_stack(
        stack,
        project_name=PROJECT,
        program=program or run_program,
        opts=automation.LocalWorkspaceOptions(
            work_dir=str(work_dir),
            env_vars=environment,
            project_settings=automation.ProjectSettings(name=PROJECT, runtime="python", backend=state),
        ),
    )


def configuration(stack: str) -> dict[str, Any]:
    """Return what the stack file of that name configures."""
    return _stack_file(stack)["config"]


def forget(stack: str, folder: Path = FOLDER) -> None:
    """Remove what is known of a stack whose cluster is gone."""
    for known in (folder / "projects" / stack, _locks(stack, folder)):
        shutil.rmtree(known, ignore_errors=True)
    for path in (folder / "state" / ".pulumi").glob(f"*/{PROJECT}/{stack}*"):
        shutil.rmtree(path) if path.is_dir() else path.unlink()


def unlock_abandoned(stack: str, folder: Path = FOLDER) -> None:
    """Remove the locks of engines that were killed; that of one still at work stays."""
    for lock in _locks(stack, folder).glob("*.json"):
        if not is_engine(int(json.loads(lock.read_text())["pid"])):
            lock.unlink()


def is_engine(process: int) -> bool:
    """Whether the process of that id is Pulumi's engine; no, when it has ended."""
    try:
        return Path(f"/proc/{process}/comm").read_text().strip() == "pulumi"
    except (FileNotFoundError, ProcessLookupError):
        return False


def run_program() -> None:
    """Run the checkout's `__main__.py`."""
    runpy.run_path(str(paths.CHECKOUT / "__main__.py"), run_name="__main__")


def show(line: str) -> None:
    """Print a line of the engine's output, if it says something."""
    if not line.startswith(LEFT_OUT) and not any(remark in line for remark in REMARKS):
        print(line, flush=True)


def _stack_file(stack: str) -> dict[str, Any]:
    return yaml.safe_load((paths.CHECKOUT / f"Pulumi.{stack}.yaml").read_text())


def _write_stack_file(path: Path, settings: Mapping[str, Any]) -> None:
    kept: dict[str, Any] = yaml.safe_load(path.read_text()) if path.exists() else {}
    salt = {"encryptionsalt": kept["encryptionsalt"]} if "encryptionsalt" in kept else {}
    path.write_text(yaml.safe_dump({**salt, **settings}))


def _passphrase(folder: Path) -> str:
    path = folder / "passphrase"
    if not path.exists():
        path.touch(mode=0o600)
        path.write_text(secrets.token_urlsafe(24))
    return path.read_text()


def _locks(stack: str, folder: Path) -> Path:
    return folder / "state" / ".pulumi" / "locks" / "organization" / PROJECT / stack


def embedded_cluster(stack: str) -> Path | None:
    """Return the embedded cluster's kubeconfig if it is up and nothing names another; it then has the namespace."""
    if "KUBECONFIG" in os.environ or not cluster.is_up():
        return None
    namespace.ensure_namespace(cluster.CONTROL_PLANE.api_server, str(configuration(stack)["kubernetes:namespace"]))
    return cluster.KUBECONFIG


def run(stack: automation.Stack, command: str) -> int:
    """Run one command on a stack; return the exit code.

    Ctrl-C reaches the engine by itself. It then ends what it has begun and unlocks the state, for which it needs this
    process until it is done.
    """
    signal.signal(signal.SIGINT, lambda _signal, _frame: None)
    commands: dict[str, Callable[[], object]] = {
        "preview": lambda: stack.preview(on_output=show, diff=False),
        "up": lambda: stack.up(on_output=show),
        "refresh": lambda: stack.refresh(on_output=show),
        "destroy": lambda: stack.destroy(on_output=show),
        "outputs": lambda: show(json.dumps({key: out.value for key, out in stack.outputs().items()}, indent=2)),
    }
    try:
        commands[command]()
    except automation.CommandError:
        return 1  # the engine has printed what is wrong
    return 0


def main() -> int:
    """Run the command of the command line on the stack it names; return the exit code."""
    command, name = sys.argv[1:]
    unlock_abandoned(name)
    return run(select(name, embedded_cluster(name)), command)


if __name__ == "__main__":
    sys.exit(main())

"""The workflows as GitHub reads them, and their steps run here with stand-ins for what only GitHub has."""

import os
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

CHECKOUT = Path(__file__).resolve().parents[3]
FOLDER = CHECKOUT / ".github" / "workflows"


def workflow(name: str) -> dict[str, Any]:
    read: dict[str | bool, Any] = yaml.safe_load((FOLDER / f"{name}.yaml").read_text(encoding="utf-8"))
    return {"on" if key is True else str(key): value for key, value in read.items()}  # YAML 1.1 reads `on` as true


def steps(job: Mapping[str, Any]) -> list[dict[str, Any]]:
    return job["steps"]


def script(job: Mapping[str, Any], name: str) -> str:
    """Return what a step runs."""
    (found,) = [step["run"] for step in steps(job) if step.get("name") == name]
    return found


def command(folder: Path, name: str, text: str) -> None:
    """Put a program on the PATH of `run`."""
    (folder / "bin").mkdir(exist_ok=True)
    (folder / "bin" / name).write_text(text, encoding="utf-8")
    (folder / "bin" / name).chmod(0o755)


def run(
    text: str, folder: Path, variables: Mapping[str, str], work_dir: Path | None = None
) -> subprocess.CompletedProcess[str]:
    """Run a step's script as a runner does."""
    environment = {
        "PATH": f"{folder}/bin:{os.environ['PATH']}",
        "HOME": str(folder),
        "RUNNER_TEMP": str(folder),
        "GITHUB_OUTPUT": str(folder / "output"),
        "GITHUB_STEP_SUMMARY": str(folder / "summary.md"),
        **variables,
    }
    return subprocess.run(
        ["bash", "-e", "-c", text], env=environment, cwd=work_dir or folder, capture_output=True, text=True, check=False
    )

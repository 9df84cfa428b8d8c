"""Write what the pods of a stack run: `python -m bench.gpu.pods --gpu NVIDIA-H200 --layers 5 > pods.json`; `--help`.

A machine with GPUs needs neither Pulumi nor Kubernetes then: bench.gpu.deployment runs it there.
"""

import argparse
import json
import os
from typing import Any

from bench.gpu.server import MULTICAST_OFF, UNIFORM_ROUTING
from bench.gpu.stack import V3_BF16, stack
from tests.unit.components.registrations import PROJECT, Program, run

HEAD, SUPERVISOR = "head-programs", "serving-programs"
"""Pulumi's names of the ConfigMaps with the programs."""


def main() -> None:
    """Print what head and supervisor run, as JSON."""
    parser = argparse.ArgumentParser(prog="python -m bench.gpu.pods", description=__doc__)
    parser.add_argument("--gpu", required=True, help="hardware.gpu of the machine, such as NVIDIA-H200")
    parser.add_argument("--layers", type=int, required=True, help="how many of the model; V3's first three are dense")
    parser.add_argument("--repository", default=V3_BF16, help="OWNER/NAME of a file of planning/models")
    parser.add_argument("--serving", type=json.loads, default={}, help="keys of deepseek:serving, as JSON")
    options = parser.parse_args()
    os.environ["KUBECONFIG"] = os.devnull  # no cluster is asked
    written = {name: getattr(options, name) for name in ("layers", "repository", "serving")}
    print(json.dumps(written | pods(run(_configuration(options))), indent=1))


def pods(program: Program) -> dict[str, Any]:
    """Return the programs, the environment and Ray's flags of the two pods, and what the stack planned."""
    ray = program.one("RayCluster", PROJECT).inputs["spec"]["headGroupSpec"]
    job = program.one("Job", "serve").inputs["spec"]["template"]["spec"]
    return {
        "plan": program.outputs["plan"],
        "ray_start": ray["rayStartParams"],
        "head": _pod(program, ray["template"]["spec"], HEAD),
        "supervisor": _pod(program, job, SUPERVISOR),
    }


def _pod(program: Program, spec: dict[str, Any], config_map: str) -> dict[str, Any]:
    [container] = spec["containers"]
    return {
        "programs": program.one("ConfigMap", config_map).inputs["data"],
        "command": container["command"],
        # Those that a preview does not know, or Kubernetes fills in, are given by bench.gpu.deployment.
        "environment": {item["name"]: item["value"] for item in container["env"] if isinstance(item.get("value"), str)},
    }


def _configuration(options: argparse.Namespace) -> dict[str, Any]:
    sections = stack(options.gpu, options.layers, options.repository, options.serving)
    sections["storage"]["storageClass"] = "nfs"
    sections["network"] = {"proof": True}
    sections["pods"] = {"environment": {**MULTICAST_OFF, **UNIFORM_ROUTING}}
    return {f"{PROJECT}:{name}": keys for name, keys in sections.items()}


if __name__ == "__main__":
    main()

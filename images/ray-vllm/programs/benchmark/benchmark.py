"""Measures how fast the model answers, with vLLM's own client, and writes the result into a ConfigMap.

It runs as a Kubernetes Job after the gate. The load is REQUESTS_AT_ONCE requests of INPUT_TOKENS random tokens and
OUTPUT_TOKENS generated ones, as many times as fit into DURATION_SECONDS. How long one time takes is measured first;
if it alone takes longer, it is what counts.

It fails when fewer than MINIMUM_TOKENS_PER_SECOND (optional) were measured, or nothing. Without a minimum a tool that
fails is told in the result, and nothing else comes of it: the model serves.

Environment: ENDPOINT, SERVED_MODEL (the folder of the model too), API_KEY_FILE (optional), the variables above,
TIMEOUT_SECONDS (of all of it), RESULT (the ConfigMap, which its service account may get and patch), JOB_UID (of its
own Job), POD_NAMESPACE.
Exit code 0, 1 after a failure.
"""

import json
import os
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import in_cluster
from bench_tool import BenchTool, Load, ToolError
from kept_result import RESULT, kept, write

TERMINATION_MESSAGE = Path("/dev/termination-log")


@dataclass(frozen=True)
class Settings:
    """What the environment asks for; times in seconds."""

    tool: BenchTool
    load: Load
    duration: float
    timeout: float
    minimum: float
    """Output tokens a second; 0 where there is none."""

    config_map: str
    job_uid: str

    @staticmethod
    def read(env: Mapping[str, str]) -> "Settings":
        """Return the settings; raise KeyError for a variable that is not set, ValueError for one that is no number."""
        return Settings(
            tool=BenchTool(env["ENDPOINT"], env["SERVED_MODEL"], env.get("API_KEY_FILE", "")),
            load=Load(int(env["REQUESTS_AT_ONCE"]), int(env["INPUT_TOKENS"]), int(env["OUTPUT_TOKENS"])),
            duration=float(env["DURATION_SECONDS"]),
            timeout=float(env["TIMEOUT_SECONDS"]),
            minimum=float(env.get("MINIMUM_TOKENS_PER_SECOND", "0")),
            config_map=env["RESULT"],
            job_uid=env["JOB_UID"],
        )


def measure(settings: Settings) -> dict[str, Any]:
    """Return what was measured (`figures`). Raises ToolError."""
    deadline = time.monotonic() + settings.timeout
    once = figures(settings.load, settings.tool.run(settings.load, times=1, timeout=settings.timeout))
    times = int(settings.duration / max(once["duration"], 0.001))
    if times <= 1:
        return once
    return figures(settings.load, settings.tool.run(settings.load, times, timeout=deadline - time.monotonic()))


def figures(load: Load, told: Mapping[str, Any]) -> dict[str, Any]:
    """Return the figures of a stack output, from the tool's result file. Raises ToolError for a file without them.

    Times are in seconds. Source of the names: vLLM 0.32, `vllm/benchmarks/serve.py`.
    """
    try:
        if not told["completed"]:
            raise ToolError(f"none of {told['failed']} requests was answered; the log of the Job's pod says why")
        return {
            "tokensPerSecond": _short(told["output_throughput"]),
            "timeToFirstToken": _times(told, "ttft"),
            "timePerToken": _times(told, "tpot"),
            "answered": told["completed"],
            "failed": told["failed"],
            "duration": _short(told["duration"]),
            "requestsAtOnce": load.at_once,
            "inputTokens": load.input_tokens,
            "outputTokens": load.output_tokens,
            "measuredAt": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        }
    except (KeyError, TypeError, ValueError) as error:
        raise ToolError(f"its result has no {error}") from None


def keep(config_map: str, result: Mapping[str, Any]) -> None:
    """Write a result into the ConfigMap; the one that was measured before stands beside it. Raises ApiError."""
    before = kept(config_map).get(RESULT, "")
    write(config_map, result, previous=before if "tokensPerSecond" in before else "")


def verdict(settings: Settings, result: Mapping[str, Any]) -> str:
    """Return why the result is not good enough, nothing where it is or nobody asked."""
    if not settings.minimum:
        return ""
    wanted = f"benchmark.minimumTokensPerSecond is {settings.minimum:g}"
    if "problem" in result:
        return f"{wanted}, and nothing was measured: {result['problem']}"
    found = result["tokensPerSecond"]
    return f"{found:g} tokens/s were measured, and {wanted}" if found < settings.minimum else ""


def _times(told: Mapping[str, Any], name: str) -> dict[str, float]:
    return {"median": _short(told[f"median_{name}_ms"] / 1000), "p99": _short(told[f"p99_{name}_ms"] / 1000)}


def _short(number: float) -> float:
    return float(f"{float(number):.4g}")


def main() -> None:
    """Measure, write, and end with a failure where the minimum is not reached."""
    settings = Settings.read(os.environ)
    try:
        result = measure(settings)
    except ToolError as error:
        result = {"problem": str(error)}
    print(f"benchmark: {json.dumps(result)}", flush=True)
    try:
        keep(settings.config_map, {**result, "job": settings.job_uid})
    except in_cluster.ApiError as error:
        print(f"benchmark: the result could not be written: {error}", flush=True)
    if reason := verdict(settings, result):
        print(f"benchmark: {reason}", flush=True)
        TERMINATION_MESSAGE.write_text(reason)
        sys.exit(1)


if __name__ == "__main__":
    main()

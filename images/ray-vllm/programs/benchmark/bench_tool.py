"""`vllm bench serve`, run as a program of its own and bounded.

Why this tool: it is in the serving image, of the release that serves, and needs no package that the image's locks lack
(vLLM 0.32; its extra `bench` is for other data sets and for plots). guidellm and inference-perf would be further locks.
"""

import json
import os
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from key_file import read_key

FOLDER = Path("/tmp")  # noqa: S108  the pod's own
LAST_CHARACTERS = 600
LOGGED_CHARACTERS = 20_000


class ToolError(Exception):
    """The tool measured nothing; the text says why."""


@dataclass(frozen=True)
class Load:
    """Requests at once, and the tokens of each."""

    at_once: int
    input_tokens: int
    output_tokens: int


@dataclass(frozen=True)
class BenchTool:
    """The tool for one served model."""

    endpoint: str
    model: str
    """Its served name, which is also the folder of its tokenizer."""

    key_file: str

    def run(self, load: Load, times: int, timeout: float) -> dict[str, Any]:
        """Send the load so many times; return the tool's result file. Raises ToolError.

        The tool and all that it started end after `timeout` seconds.
        """
        result = FOLDER / "result.json"
        result.unlink(missing_ok=True)
        output = FOLDER / "output"
        with output.open("w") as log:
            command = self._command(load, times, result)
            try:
                process = subprocess.Popen(
                    command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=self._environment()
                )
            except OSError as error:
                raise ToolError(f"vllm could not be started: {error}") from None
            try:
                code = process.wait(timeout)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
                raise ToolError(f"vllm bench serve had not ended after {timeout:.0f} s") from None
        said = output.read_text(errors="replace").strip()
        print(said[-LOGGED_CHARACTERS:], flush=True)
        if code:
            raise ToolError(f"vllm bench serve ended with exit code {code}: {said[-LAST_CHARACTERS:]}")
        try:
            told: dict[str, Any] = json.loads(result.read_text())
        except (OSError, ValueError) as error:
            raise ToolError(f"vllm bench serve left no result: {error}") from None
        return told

    def _command(self, load: Load, times: int, result: Path) -> list[str]:
        return [
            *("vllm", "bench", "serve", "--backend=openai", "--endpoint=/v1/completions"),
            *(f"--base-url={self.endpoint}", f"--model={self.model}", f"--tokenizer={self.model}"),
            *("--dataset-name=random", f"--num-prompts={load.at_once * times}", f"--max-concurrency={load.at_once}"),
            *(f"--random-input-len={load.input_tokens}", f"--random-output-len={load.output_tokens}"),
            *("--temperature=0", "--percentile-metrics=ttft,tpot", "--metric-percentiles=99", "--disable-tqdm"),
            *("--save-result", f"--result-dir={result.parent}", f"--result-filename={result.name}"),
            f"--seed={time.time_ns() % 2**32}",  # prompts of an earlier time would be in vLLM's prefix cache
        ]

    def _environment(self) -> dict[str, str]:
        """Return the tool's environment. The key is in it: a command line can be read by every process of the pod."""
        key = {"OPENAI_API_KEY": read_key(self.key_file).decode()} if self.key_file else {}
        return {**os.environ, **key}

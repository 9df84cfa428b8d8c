"""The benchmark against a stand-in tool and a stand-in API server: what is measured, written, and refused."""

import json
import os
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias
from urllib.request import build_opener

import bench_tool
import benchmark
import in_cluster
import pytest
from stub_servers import Body, Reply, StubServer

CONFIG_MAP = "/api/v1/namespaces/n/configmaps/benchmark-result"
ENVIRONMENT = {
    "ENDPOINT": "http://deepseek.n:8000",
    "SERVED_MODEL": "/mnt/models/m",
    "REQUESTS_AT_ONCE": "8",
    "INPUT_TOKENS": "100",
    "OUTPUT_TOKENS": "20",
    "DURATION_SECONDS": "60",
    "TIMEOUT_SECONDS": "30",
    "RESULT": "benchmark-result",
    "JOB_UID": "u",
    "POD_NAMESPACE": "n",
}
TOLD: dict[str, Any] = {
    "duration": 12.34567,
    "completed": 8,
    "failed": 0,
    "output_throughput": 812.3456,
    "median_ttft_ms": 250.0,
    "p99_ttft_ms": 900.0,
    "median_tpot_ms": 20.5,
    "p99_tpot_ms": 31.0,
}
TOOL = """#!{python}
import json, os, pathlib, sys, time
here = pathlib.Path({here!r})
with (here / "calls").open("a") as calls:
    calls.write(json.dumps([sys.argv[1:], os.environ.get("OPENAI_API_KEY")]) + "\\n")
says = json.loads((here / "says").read_text())
time.sleep(says.get("sleep", 0))
print(says.get("prints", "Starting main benchmark run..."))
if "told" in says:
    flags = dict(flag.split("=", 1) for flag in sys.argv if "=" in flag)
    (pathlib.Path(flags["--result-dir"]) / flags["--result-filename"]).write_text(json.dumps(says["told"]))
sys.exit(says.get("code", 0))
"""

Run: TypeAlias = Callable[..., int]


@dataclass
class Tool:
    """The stand-in for `vllm`: what it does, and how it was called."""

    folder: Path
    says: dict[str, Any] = field(default_factory=lambda: {"told": TOLD})

    def prepare(self) -> None:
        program = self.folder / "vllm"
        program.write_text(TOOL.format(python=sys.executable, here=str(self.folder)))
        program.chmod(0o755)
        (self.folder / "says").write_text(json.dumps(self.says))

    @property
    def calls(self) -> list[tuple[dict[str, str], str | None]]:
        """The flags of each call, and the key in its environment."""
        lines = [json.loads(line) for line in (self.folder / "calls").read_text().splitlines()]
        return [(dict(flag.split("=", 1) for flag in flags if "=" in flag), key) for flags, key in lines]


@pytest.fixture
def tool(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Tool:
    monkeypatch.setattr(bench_tool, "FOLDER", tmp_path)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    return Tool(tmp_path)


@pytest.fixture
def kept(server: StubServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> dict[str, str]:
    """What stands in the ConfigMap."""
    (tmp_path / "token").write_text("t")
    monkeypatch.setattr(in_cluster, "SERVICE_ACCOUNT", tmp_path)
    monkeypatch.setattr(in_cluster, "server", lambda: server.url)
    monkeypatch.setattr(in_cluster, "opener", build_opener)
    data: dict[str, str] = {}

    def patch(body: Body) -> Reply:
        data.update(body["data"])
        return 200, {}

    server.routes["GET", CONFIG_MAP] = lambda _: (200, {"data": dict(data)} if data else {})
    server.routes["PATCH", CONFIG_MAP] = patch
    return data


@pytest.fixture
def run(tool: Tool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run the program to its end and return its exit code."""
    monkeypatch.setattr(benchmark, "TERMINATION_MESSAGE", tmp_path / "message")

    def to_its_end(**other: str) -> int:
        tool.prepare()
        for name, value in (ENVIRONMENT | other).items():
            monkeypatch.setenv(name, value)
        try:
            benchmark.main()
        except SystemExit as ended:
            return int(str(ended.code))
        return 0

    return to_its_end


def test_the_figures_of_the_second_run_are_written_which_lasts_as_long_as_asked(
    run: Run, tool: Tool, kept: dict[str, str]
) -> None:
    assert run() == 0
    result = json.loads(kept["result"])
    assert result.pop("measuredAt").endswith("Z")
    assert result == {
        "tokensPerSecond": 812.3,
        "timeToFirstToken": {"median": 0.25, "p99": 0.9},
        "timePerToken": {"median": 0.0205, "p99": 0.031},
        "answered": 8,
        "failed": 0,
        "duration": 12.35,
        "requestsAtOnce": 8,
        "inputTokens": 100,
        "outputTokens": 20,
        "job": "u",
    }
    (first, _), (second, _) = tool.calls
    assert (first["--num-prompts"], second["--num-prompts"]) == ("8", "32"), "4 times 12.3 s in 60 s"
    assert first["--max-concurrency"] == second["--max-concurrency"] == "8"
    assert first["--seed"] != second["--seed"], "or the second run would find its prompts computed"
    assert (second["--base-url"], second["--model"]) == ("http://deepseek.n:8000", "/mnt/models/m")


def test_one_time_that_takes_longer_than_asked_is_what_counts(run: Run, tool: Tool, kept: dict[str, str]) -> None:
    assert run(DURATION_SECONDS="20") == 0
    assert len(tool.calls) == 1
    assert json.loads(kept["result"])["tokensPerSecond"] == 812.3


def test_the_key_is_handed_on_and_stands_in_no_command(run: Run, tool: Tool, kept: dict[str, str]) -> None:
    key = tool.folder / "key"
    key.write_text("a-key-of-the-model\n")
    run(API_KEY_FILE=str(key), DURATION_SECONDS="1")
    [(flags, sent)] = tool.calls
    assert sent == "a-key-of-the-model"
    assert "a-key-of-the-model" not in json.dumps([flags, kept])


def test_what_was_measured_before_stands_beside_it_and_a_failure_does_not_replace_that(
    run: Run, tool: Tool, kept: dict[str, str]
) -> None:
    run(DURATION_SECONDS="1")
    before = kept["result"]
    tool.says = {"code": 2, "prints": "no such model"}
    run(DURATION_SECONDS="1")
    assert kept["previous"] == before
    tool.says = {"told": TOLD | {"output_throughput": 900.0}}
    run(DURATION_SECONDS="1")
    assert kept["previous"] == before
    assert json.loads(kept["result"])["tokensPerSecond"] == 900.0


@pytest.mark.parametrize(
    ("says", "problem"),
    [
        ({"code": 2, "prints": "OSError: no tokenizer"}, "vllm bench serve ended with exit code 2: OSError: no token"),
        ({}, "vllm bench serve left no result"),
        ({"told": TOLD | {"completed": 0, "failed": 8}}, "none of 8 requests was answered"),
        ({"told": {"completed": 3}}, "its result has no"),
        ({"sleep": 30}, "vllm bench serve had not ended after 0 s"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_tool_that_fails_is_told_and_fails_only_where_there_is_a_minimum(
    says: dict[str, Any], problem: str, run: Run, tool: Tool, kept: dict[str, str]
) -> None:
    tool.says = says
    assert run(TIMEOUT_SECONDS="0.4" if "sleep" in says else "30") == 0
    assert json.loads(kept["result"])["problem"].startswith(problem)
    assert run(TIMEOUT_SECONDS="0.4" if "sleep" in says else "30", MINIMUM_TOKENS_PER_SECOND="5") == 1
    message = (tool.folder / "message").read_text()
    assert message.startswith("benchmark.minimumTokensPerSecond is 5, and nothing was measured: " + problem)


def test_what_the_tool_said_is_in_the_log(run: Run, kept: dict[str, str], capsys: pytest.CaptureFixture[str]) -> None:
    assert run(DURATION_SECONDS="1") == 0
    assert kept
    assert "Starting main benchmark run..." in capsys.readouterr().out


def test_a_tool_that_is_not_there_is_told(
    run: Run, tool: Tool, kept: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "/nonexistent")
    assert tool.says
    assert run() == 0
    assert json.loads(kept["result"])["problem"].startswith("vllm could not be started")


@pytest.mark.parametrize(("minimum", "code"), [("812", 0), ("813", 1)])
def test_too_slow_a_model_fails_with_both_numbers_and_they_are_written(
    minimum: str, code: int, run: Run, tool: Tool, kept: dict[str, str]
) -> None:
    assert run(DURATION_SECONDS="1", MINIMUM_TOKENS_PER_SECOND=minimum) == code
    assert json.loads(kept["result"])["tokensPerSecond"] == 812.3
    if code:
        wanted = "812.3 tokens/s were measured, and benchmark.minimumTokensPerSecond is 813"
        assert (tool.folder / "message").read_text() == wanted


def test_a_result_that_cannot_be_written_is_said_and_fails_nothing(
    run: Run, server: StubServer, kept: dict[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    server.routes["PATCH", CONFIG_MAP] = lambda _: (403, {"message": "forbidden"})
    assert run(DURATION_SECONDS="1") == 0
    assert kept == {}
    assert "the result could not be written: PATCH" in capsys.readouterr().out

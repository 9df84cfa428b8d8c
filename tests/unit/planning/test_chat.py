"""Which flags tool calls and reasoning become, for which models."""

from typing import Any

import pytest

from components.vllm_server.vllm_arguments import vllm_arguments
from planning.parse import parse
from tests.unit.planning.stacks import V3_BF16, plan, raw

BOTH = {"toolCalls": True, "reasoning": True}
PARSERS: dict[str, tuple[str | None, str | None]] = {
    "moonshotai/Kimi-K2-Instruct-0905": ("kimi_k2", None),
    "moonshotai/Kimi-K2-Base": (None, None),
    "moonshotai/Kimi-K2-Thinking": ("kimi_k2", "kimi_k2"),
    "moonshotai/Kimi-K2.5": ("kimi_k2", "kimi_k2"),
    "zai-org/GLM-5-FP8": ("glm47", "glm45"),
    "zai-org/GLM-5.2": ("glm47", "glm45"),
    "deepseek-ai/DeepSeek-V3.2": ("deepseek_v32", "deepseek_v3"),
    "deepseek-ai/DeepSeek-V3.2-Exp": (None, "deepseek_v3"),
    "deepseek-ai/DeepSeek-V3.1-Terminus": (None, "deepseek_v3"),
    "deepseek-ai/DeepSeek-V3.1-Base": (None, None),
    "deepseek-ai/DeepSeek-R1-0528": (None, "deepseek_r1"),
    "deepseek-ai/DeepSeek-R1-Distill-Qwen-32B": (None, "deepseek_r1"),
    "deepseek-ai/DeepSeek-V3": (None, None),
    "openai/gpt-oss-120b": ("openai", "openai_gptoss"),
    "openai/gpt-oss-20b": ("openai", "openai_gptoss"),
}


def arguments(repository: str, **serving: Any) -> list[str]:
    settings = parse(raw(model={"repository": f"https://mirror.example.com/{repository}.git"}, serving=serving))
    return vllm_arguments(settings.serving, plan(), "/mnt/models/x", model=settings.model, port=8000)


@pytest.mark.parametrize(("repository", "parsers"), PARSERS.items())
def test_each_model_gets_the_parsers_that_belong_to_it(repository: str, parsers: tuple[str | None, str | None]) -> None:
    tools, reasoning = parsers
    given = arguments(repository, **BOTH)
    assert ("--enable-auto-tool-choice" in given) is bool(tools)
    assert [word for word in given if "parser" in word] == [
        *([f"--tool-call-parser={tools}"] if tools else []),
        *([f"--reasoning-parser={reasoning}"] if reasoning else []),
    ]


def test_nothing_is_given_that_was_not_asked_for() -> None:
    assert not [word for word in arguments("moonshotai/Kimi-K2-Thinking") if "parser" in word or "tool" in word]


def test_extra_arguments_come_last_and_so_win() -> None:
    given = arguments("moonshotai/Kimi-K2-Thinking", toolCalls=True, extraArgs=["--tool-call-parser=hermes"])
    assert given.index("--tool-call-parser=hermes") > given.index("--tool-call-parser=kimi_k2")


@pytest.mark.parametrize("key", ["toolCalls", "reasoning"])
def test_a_model_without_a_known_parser_is_refused(key: str) -> None:
    refused = plan(model={"repository": V3_BF16}, serving={key: True})
    (problem,) = refused.problems
    assert problem.key == f"serving.{key}"
    assert "no parser of vLLM is known" in problem.text
    assert problem.fix == {f"serving.{key}": None}

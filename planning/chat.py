"""Which parser of vLLM 0.32 reads a model's tool calls, and which its reasoning.

Sources: `tool_parsers/__init__.py` and `reasoning/__init__.py` of vLLM, and the recipes of vllm-project/recipes. Models
whose own chat template does not show them the tools (DeepSeek V3, V3.1, R1) are left out: vLLM's recipes give them a
template of vLLM's examples, which the image does not have.
"""

import re
from collections.abc import Mapping

from planning.settings.addresses import owner_and_name
from planning.settings.sections import Serving

TOOL_CALLS: Mapping[str, str] = {
    r"deepseek-v3\.2(-nvfp4)?": "deepseek_v32",
    r"kimi-k2([.-](?!base).*)?": "kimi_k2",
    r"glm-5([.-].*)?": "glm47",
    r"gpt-oss-\d+b": "openai",
}
"""Parsers by names of repositories, in lower case and without owner."""
REASONING: Mapping[str, str] = {
    r"deepseek-r1(-.*)?": "deepseek_r1",
    r"deepseek-v3\.[12](-(?!base).*)?": "deepseek_v3",
    r"kimi-k2(-thinking|\.[5-9])(-.*)?": "kimi_k2",
    r"glm-5([.-].*)?": "glm45",
    r"gpt-oss-\d+b": "openai_gptoss",
}
"""Parsers by the same names."""


def tool_call_flags(repository: str) -> tuple[str, ...]:
    """What `vllm serve` needs for the model's tool calls; empty where that is not known."""
    parser = _of(TOOL_CALLS, repository)
    return ("--enable-auto-tool-choice", f"--tool-call-parser={parser}") if parser else ()


def reasoning_flags(repository: str) -> tuple[str, ...]:
    """What `vllm serve` needs to tell the model's reasoning from its answer; empty where that is not known."""
    parser = _of(REASONING, repository)
    return (f"--reasoning-parser={parser}",) if parser else ()


def chat_flags(repository: str, serving: Serving) -> list[str]:
    """The flags of both, where the stack file asks for them."""
    tools = tool_call_flags(repository) if serving.tool_calls else ()
    return [*tools, *(reasoning_flags(repository) if serving.reasoning else ())]


def _of(parsers: Mapping[str, str], repository: str) -> str | None:
    name = owner_and_name(repository).rpartition("/")[2].lower()
    return next((parser for names, parser in parsers.items() if re.fullmatch(names, name)), None)

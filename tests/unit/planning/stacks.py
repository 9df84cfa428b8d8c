"""Stack files for tests, as parsed from YAML."""

from typing import Any

from planning.parse import parse
from planning.plan import Plan, make_plan
from planning.verdict.suggestions import changed

Raw = dict[str, dict[str, Any]]
V3_FP8 = "https://huggingface.co/deepseek-ai/DeepSeek-V3"
V3_BF16 = "https://huggingface.co/opensourcerelease/DeepSeek-V3-bf16"
DISTILLED = "https://huggingface.co/deepseek-ai/DeepSeek-R1-Distill-Qwen-32B"
LITE = "https://huggingface.co/deepseek-ai/DeepSeek-V2-Lite"


def raw(**sections: dict[str, Any]) -> Raw:
    """The article's stack, 4 × 8 A100, with these keys changed; a value of None takes a key out."""
    base: Raw = {
        "model": {"repository": V3_BF16},
        "hardware": {"gpu": "NVIDIA-A100-SXM4-80GB", "gpusPerNode": 8, "nodes": 4},
        "storage": {"size": "3Ti"},
        "image": {"push": "registry.example.com/team"},
        "serving": {"gpuMemoryUtilization": 0.8},
    }
    for name, keys in sections.items():
        merged = base.get(name, {}) | keys
        base[name] = {key: value for key, value in merged.items() if value is not None}
    return base


def plan(**sections: dict[str, Any]) -> Plan:
    return make_plan(parse(raw(**sections)))


def repaired(stack: Raw) -> Plan:
    """The plan of a refused stack after every problem's own fix."""
    settings = parse(stack)
    for problem in make_plan(settings).problems:
        assert problem.fix is not None, f"no fix for {problem}"
        settings = changed(settings, problem.fix)
    return make_plan(settings)

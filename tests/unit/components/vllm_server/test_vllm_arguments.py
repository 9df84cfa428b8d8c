"""The flags of vLLM that are keys of the stack file too."""

from components.vllm_server.vllm_arguments import counted_arguments
from planning.flags.owned import COUNTED
from planning.settings.sections import Serving


def test_a_flag_that_the_plan_counts_is_given_where_its_key_is_set() -> None:
    serving = Serving.model_validate({"maxModelLen": 8192, "maxNumBatchedTokens": 2048, "enforceEager": True})
    assert counted_arguments(serving) == ["--max-model-len=8192", "--max-num-batched-tokens=2048", "--enforce-eager"]
    assert counted_arguments(Serving()) == []


def test_each_of_them_is_named_like_its_key() -> None:
    keys = {f"--{name.replace('_', '-')}": f"serving.{field.alias}" for name, field in Serving.model_fields.items()}
    assert {flag: keys[flag] for flag in COUNTED} == COUNTED

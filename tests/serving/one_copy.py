"""Runs in a Ray pod: vLLM by itself, with one rank and without Ray. Prints the greedy tokens of each prompt, as JSON.

Standard input: `model` (path), `prompts`, `tokens` (of each answer) and `dtype`, as JSON. The prompts come one after
the other, because vLLM 0.32 on CPUs computes other tokens for prompts that it computes together.
"""

# pyright: reportMissingImports=false, reportUnknownMemberType=false, reportUnknownVariableType=false
# pyright: reportUnknownArgumentType=false
# Only the serving image has vLLM.

import json
import os
import sys


def main() -> None:
    """Answer."""
    os.environ["VLLM_ENABLE_V1_MULTIPROCESSING"] = "0"
    from vllm import LLM, SamplingParams  # noqa: PLC0415  it reads the variable when it is imported

    asked = json.load(sys.stdin)
    llm = LLM(
        asked["model"], dtype=asked["dtype"], max_model_len=2048, enforce_eager=True, distributed_executor_backend="uni"
    )
    greedy = SamplingParams(temperature=0, max_tokens=asked["tokens"], ignore_eos=True)
    answers = [llm.generate([prompt], greedy, use_tqdm=False)[0].outputs[0] for prompt in asked["prompts"]]
    print(json.dumps([list(answer.token_ids) for answer in answers]))  # noqa: T201


if __name__ == "__main__":
    main()

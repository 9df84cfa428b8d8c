"""Python files of the model's repository run only where a commit pins them, and a reviewer is told what that means."""

import pytest

from planning.parse import parse
from planning.plan import make_plan
from planning.settings import reference
from planning.settings.stack_file import read
from planning.verdict.remote_code import trusting_flags
from tests.unit.planning.stacks import plan, raw, repaired

COMMIT = "0123456789abcdef0123456789abcdef01234567"
KIMI = "https://huggingface.co/moonshotai/Kimi-K2-Instruct"
SPELLINGS = [
    ["--trust-remote-code"],
    ["--trust_remote_code"],
    ["--trust-remote_code"],
    ["--trust-remote-code=true"],
    ["--trust_remote_code=True"],
    ["--trust-remote-code", "true"],
    ["--trust-remote"],
    ["--trust_rem"],
    ["--max-num-seqs=8", "--trust-remote-cod"],
    ["--max-num-seqs 8 --trust-remote-code"],
    ["--mm-processor-kwargs", '{"trust_remote_code": true}'],
    ["--mm-processor-kwargs.trust_remote_code=true"],
    ["--mm-processor-kwargs", '{"trust\\u005fremote_code": true}'],
    ["--mm-processor-kwargs", '{"\\u0074rust_remote\\u005Fcode": true}'],
]
MODEL = "/mnt/models/DeepSeek-V3/main"
PLUGINS = [
    [f"--tool-parser-plugin={MODEL}/parser.py"],
    ["--tool_parser_plugin", f"{MODEL}/parser.py"],
    [f"--reasoning-parser-plugin={MODEL}/parser.so"],
    ["--reasoning-parser-plugin=/mnt/other/..//models/./DeepSeek-V3/main/parser.py"],
    ["--reasoning-parser-plugin", "../../proc/self/root/mnt/models/DeepSeek-V3/main/parser.py"],
    ["--structured-outputs-config", f'{{"reasoning_parser_plugin": "{MODEL}/parser.py"}}'],
    ["--structured-outputs-config", '{"reasoning_parser_plugin": "\\/mnt\\/models\\/m\\/main\\/parser.py"}'],
    [f"--structured-outputs-config.reasoning_parser_plugin={MODEL}/parser.py"],
]
MOVING = ["main", "v1.0", "refs/pr/1", COMMIT[:12], COMMIT.upper(), COMMIT[:-1]]


@pytest.mark.parametrize("arguments", SPELLINGS, ids=" ".join)
def test_a_flag_is_found_in_every_spelling(arguments: list[str]) -> None:
    assert trusting_flags(arguments)
    refused = plan(model={"revision": "main"}, serving={"extraArgs": arguments})
    assert "serving.extraArgs" in [problem.key for problem in refused.problems]


@pytest.mark.parametrize(
    "arguments", [["--max-num-seqs=8"], ["--trust-request-chat-template"], ["--no-trust-remote-code"], []], ids=" ".join
)
def test_other_flags_are_not_mistaken_for_it(arguments: list[str]) -> None:
    assert not trusting_flags(arguments)
    assert plan(serving={"extraArgs": arguments}).fits


@pytest.mark.parametrize("arguments", PLUGINS, ids=" ".join)
def test_a_plugin_in_the_models_folder_is_code_of_the_repository_too(arguments: list[str]) -> None:
    [problem] = plan(model={"revision": "main"}, serving={"extraArgs": arguments}).problems
    assert "runs Python files of" in problem.text
    assert problem.suggestion == "model.revision: the full commit whose Python files you have read"
    planned = plan(model={"revision": COMMIT}, serving={"extraArgs": arguments})
    assert planned.fits
    assert "read them before you approve this" in " ".join(planned.warnings)


def test_a_plugin_of_the_image_is_no_code_of_the_repository() -> None:
    assert not trusting_flags(["--tool-parser-plugin=/opt/plugins/parser.py"])
    assert not trusting_flags([f"--chat-template={MODEL}/chat.jinja"])


@pytest.mark.parametrize(
    "arguments",
    [
        ["--api-key=secret-trust-remote-secret"],
        ["--api-key", "secret-trust-remote-secret"],
        ["--mm-processor-kwargs", '{"trust_remote_code": true, "token": "secret"}'],
        ["--trust-remote-code=secret"],
        ["--trust-remote-code", "--hf-token=secret"],
        ["--trust-remote-code", "secret"],
        ["secret --trust-remote-code"],
        [f"--tool-parser-plugin={MODEL}/secret.py"],
    ],
    ids=" ".join,
)
@pytest.mark.parametrize("revision", ["main", COMMIT])
def test_no_value_is_told_for_it_may_be_a_secret(arguments: list[str], revision: str) -> None:
    planned = plan(model={"revision": revision}, serving={"extraArgs": arguments})
    assert "secret" not in "".join([*planned.warnings, *(f"{p.text} {p.suggestion}" for p in planned.problems)])


def test_the_flag_leaves_with_its_value() -> None:
    kwargs = ["--mm-processor-kwargs", '{"trust_remote_code": true}']
    stack = raw(serving={"extraArgs": ["--trust-remote-code", "--max-num-seqs", "8", *kwargs]})
    [problem] = make_plan(parse(stack)).problems
    assert problem.suggestion.startswith("serving.extraArgs: ['--max-num-seqs', '8']")


@pytest.mark.parametrize("revision", MOVING)
def test_code_of_a_revision_that_can_be_moved_is_refused(revision: str) -> None:
    stack = raw(model={"revision": revision}, serving={"extraArgs": ["--trust-remote-code", "--max-num-seqs=8"]})
    [problem] = make_plan(parse(stack)).problems
    assert problem.key == "serving.extraArgs"
    assert f"model.revision {revision} is not a commit" in problem.text
    assert "--max-num-seqs=8" in problem.suggestion
    assert "full commit" in problem.suggestion
    assert repaired(stack).fits


def test_where_vllm_needs_the_code_only_a_commit_is_suggested() -> None:
    [problem] = plan(
        model={"repository": KIMI},
        hardware={"gpu": "NVIDIA-H200", "nodes": 2},
        serving={"extraArgs": ["--trust-remote-code"], "gpuMemoryUtilization": 0.9},
    ).problems
    assert problem.suggestion == "model.revision: the full commit whose Python files you have read"


@pytest.mark.parametrize("revision", [COMMIT, COMMIT + "0" * 24])
def test_a_pinned_one_is_taken_and_the_preview_says_what_it_means(revision: str) -> None:
    planned = plan(model={"revision": revision}, serving={"extraArgs": ["--trust-remote-code"]})
    assert planned.fits
    [warning] = planned.warnings
    assert f"at commit {revision} in the Ray pods" in warning
    assert "API key" in warning
    assert "serves it without" in warning


def test_shipped_stacks_run_no_code_of_the_models_repository() -> None:
    stacks = sorted(reference.ROOT.glob("Pulumi.*.yaml"))
    assert len(stacks) >= 3
    for file in stacks:
        assert not trusting_flags(parse(read(file)).serving.extra_args), file.name

"""Flags of `vllm serve`, in every spelling that its parser takes."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from planning import flags
from planning.flags import rules
from planning.flags.data import known
from planning.flags.owned import OWNED, SECRETS
from planning.flags.reading import read
from planning.settings.sections import SECTIONS
from tests.unit.planning.flags.spellings import COUNT, spellings
from tests.unit.planning.stacks import plan

VERDICTS = Path(__file__).with_name("verdicts.json")
ROOT = Path(__file__).resolve().parents[4]
SECRET = "s3cr3t-and-private"  # noqa: S105 - it stands for one


def refusals(*arguments: str) -> str:
    return "\n".join(str(problem) for problem in flags.problems(arguments))


def verdict(words: list[str]) -> str:
    """`1` where vLLM's parser would take the words."""
    reading = read(words)
    names = {mention.flag.name for mention in reading.mentions}
    return "0" if reading.faults or list(rules.faults(reading)) or "--help" in names else "1"


def test_the_verdicts_are_those_of_vllms_own_parser() -> None:
    recorded = json.loads(VERDICTS.read_text(encoding="utf-8"))
    lists = spellings()
    assert recorded["release"] == known().release
    assert len(lists) == len(recorded["verdicts"]) == COUNT
    differ = [words for words, real in zip(lists, recorded["verdicts"], strict=True) if verdict(words) != real]
    assert differ == []
    assert 800 < recorded["verdicts"].count("1") < 1200, "as many right spellings as wrong ones"


def test_the_flags_are_those_of_the_locked_vllm() -> None:
    for lock in ("requirements-cpu.txt", "requirements-cuda.txt"):
        text = (ROOT / "images" / "ray-vllm" / lock).read_text(encoding="utf-8")
        assert f"\nvllm-cpu=={known().release} " in text or f"\nvllm=={known().release} " in text, lock


def test_every_flag_of_the_program_is_one_of_vllm_and_every_key_one_of_the_stack_file() -> None:
    assert OWNED.keys() <= set(known().names)
    for owned in OWNED.values():
        section, _, key = owned.key.partition(".")
        fields = SECTIONS[section].model_fields.values() if key else ()
        assert owned.key in ("", "apiKey", "modelToken") or key in {field.alias for field in fields}, owned.key


@pytest.mark.parametrize("written", ["--trust-remote-code", "--trust_remote_code", "--trust-rem", "--trust_rem"])
def test_a_switch_is_found_under_every_spelling(written: str) -> None:
    assert flags.is_set(["--max-num-seqs", "3", written], "--trust-remote-code")
    assert not flags.is_set([written, "--no-trust-remote-code"], "--trust-remote-code")
    assert flags.is_set(["--no_trust_remote_code", written], "--trust-remote-code")
    assert not flags.is_set(["--max-num-seqs", "3"], "--trust-remote-code")


SPELLINGS = {
    "--api-key": ("--api-key=x", "--api_key=x", "--api-k=x", "--api_k"),
    "--middleware": ("--middleware=x", "--middlew=x"),
    "--tensor-parallel-size": ("--tensor_parallel_size=16", "-tp=16", "--tensor=16"),
    "--pipeline-parallel-size": ("-pp=2", "--pipeline_parallel-size=2"),
    "--gpu-memory-utilization": ("--gpu_memory_utilization=0.5", "--device-memory-utilization=0.5", "--gpu=.5"),
    "--data-parallel-size": ("-dp=2", "--data-parallel-size=2"),
    "--enforce-eager": ("--no-enforce-eager", "--no_enforce_eager", "--enforce_eager"),
    "--grpc": ("--grpc",),
    "--config": ("--config=x.yaml",),
    "--help": ("-h", "--help", "--help=all", "--hel"),
    "--nnodes": ("-n2", "-n=2", "--nnodes=2"),
    "--node-rank": ("-r1", "--node_rank=1"),
    "--disable-log-stats": ("--disable-log-st", "--disable_log_stats"),
    "--dtype": ("--dtype=half", "--dt=half"),
}


@pytest.mark.parametrize(
    ("name", "written"), [(name, written) for name, several in SPELLINGS.items() for written in several]
)
def test_what_the_program_decides_is_refused_under_every_spelling(name: str, written: str) -> None:
    [problem] = flags.problems(["--max-num-seqs=3", written])
    assert "is not for extraArgs" in problem.text
    assert OWNED[name].why in problem.text
    assert OWNED[name].key in problem.suggestion


@pytest.mark.parametrize("name", sorted(OWNED))
def test_what_the_program_decides_is_refused_with_a_value_beside_it(name: str) -> None:
    value = [] if known().spellings[name].is_switch else ["{}" if name == "--logging-config" else "1"]
    assert any(
        OWNED[name].why in problem.text
        for problem in flags.problems([name.replace("-", "_").replace("__", "--", 1), *value])
    )


@pytest.mark.parametrize(
    "arguments",
    [
        (f"--api-key={SECRET}",),
        (f"--api_key={SECRET}",),
        ("--api-key", SECRET, f"{SECRET}-2"),
        (f"--api-key {SECRET}",),
        (f"--api-key\n{SECRET}",),
        (f"--apikey={SECRET}",),
        ("--apikey", SECRET),
        ("--api-key", f"-{SECRET}"),
        ("--api-key", f"--{SECRET}"),
        ("--api-key.x", SECRET),
        (f"--api-key.{SECRET}",),
        (f"-api-key={SECRET}",),
        ("--hf-token", SECRET),
        (f"--hf_token={SECRET}", SECRET, f"--{SECRET}=1"),
        ("--token", f"--{SECRET}"),
        (SECRET,),
        (f"--max-num-seqs=3 --api-key={SECRET}",),
        ("--kv-transfer-config", json.dumps({"password": SECRET})),
        ("--kv-transfer-config", json.dumps({SECRET: 1})),
        ("--compilation-config", SECRET),
        ("--allowed-origins", SECRET),
        ("--model-loader-extra-config", f"{{{SECRET}}}"),
        ("--trust-remote-code", SECRET),
        (f"--trust-remote-code={SECRET}",),
    ],
)
def test_no_error_has_what_may_be_a_secret(arguments: tuple[str, ...]) -> None:
    text = refusals(*arguments)
    assert text
    assert SECRET not in text
    assert "s3cr3t" not in text


@pytest.mark.parametrize(
    "arguments",
    [
        ("--kv-transfer-config", json.dumps({"kv_connector_extra_config": {"password": SECRET}})),
        (f"--kv-transfer-config.kv_connector_extra_config.redis_password={SECRET}",),
        ("--additional-config.hf_token", SECRET),
        ("--additional-config", json.dumps({"x": [{"apiKey": SECRET}]})),
        ("--model_loader_extra_config", json.dumps({"s3_secret_access_key": SECRET, "access_token": SECRET})),
        (f"--otlp-traces-endpoint=https://me:{SECRET}@traces.example.com",),
        ("--tool-server", f"http://:{SECRET}@tools.example.com"),
    ],
)
def test_a_secret_in_the_value_of_another_flag_is_refused(arguments: tuple[str, ...]) -> None:
    [problem] = flags.problems(["--max-num-seqs=3", *arguments])
    assert "has a password, a key or a token in it" in problem.text
    assert SECRET not in str(problem)


def test_tokens_of_a_model_are_no_secrets() -> None:
    text = {"eos_token": "</s>", "tokenizer": "x", "max_tokens": 5, "token_ids": "1", "key": "x"}
    assert flags.problems(["--additional-config", json.dumps(text), "--additional-config.eos_token=x"]) == []
    assert flags.problems(["--otlp-traces-endpoint=https://traces.example.com:4317/v1?to=a@b"]) == []


@pytest.mark.parametrize("arguments", [("--load-format=dummy",), ("--load_form", "dummy")])
def test_random_numbers_in_place_of_the_weights_are_refused(arguments: tuple[str, ...]) -> None:
    [problem] = flags.problems(arguments)
    assert "random numbers" in problem.text
    assert flags.problems(["--load-format=safetensors"]) == []


def test_secrets_come_first_and_all_problems_at_once() -> None:
    found = flags.problems(["--grpc", "--nonsense", "--max-num-seqs=x", "--api-key=x"])
    assert [problem.text.split()[0] for problem in found[:2]] == ["--api-key", "--grpc"]
    assert len(found) == 4
    assert all(OWNED[name].key in ("apiKey", "modelToken") for name in SECRETS)


REFUSALS = {
    "misspelt": (["--max-num-seq-s=3"], "--max-num-seq-s is no flag of vllm serve 0.32.0", "--max-num-seqs"),
    "short with its number": (["-tp4"], "-tp4 is no flag", "serving.tensorParallelSize"),
    "nothing near": (["--xyzzy"], "--xyzzy is no flag", ""),
    "abbreviation of several": (["--max-num=3"], "--max-num may be", "full name"),
    "no number": (["--max-num-seqs=many"], "takes a whole number, found 'many'", ""),
    "none": (["--max-num-seqs=0"], "takes a number >=1, found 0", ""),
    "out of bounds": (["--watermark=1.5"], "takes a number >=0 <1, found 1.5", ""),
    "no server": (["-asc=0"], "--api-server-count takes a number >=1", ""),
    "no choice": (["--load-balance", "--scheduling-policy", "best"], "takes fcfs | priority, found 'best'", ""),
    "no value": (["--max-num-seqs"], "--max-num-seqs lacks its value", ""),
    "value of a switch": (["--enable-prefix-caching=true"], "takes no value", ""),
    "two words": (["--max-num-seqs 3"], "more words stand in one element", '["--max-num-seqs", "…"]'),
    "two words of the program": (["--middleware x.Y"], "asks for the key", "leaving"),
    "no flag": (["--max-num-seqs", "3", "4"], "the third element is no flag", ""),
    "end of flags": (["--", "--max-num-seqs=3"], "the first element is no flag", ""),
    "no JSON": (["-cc", "{"], "takes a JSON object", ""),
    "unknown key": (["--compilation-config.mod", "3"], "such as mode", ""),
    "bad key": (['--compilation-config={"backend": 3}'], "another value for its key backend: text", ""),
    "dotted without a value": (["--compilation-config.mode"], "lacks its value", ""),
    "half of two": (["--enable-auto-tool-choice"], "needs --tool-call-parser", ""),
}


@pytest.mark.parametrize(("arguments", "text", "suggestion"), REFUSALS.values(), ids=REFUSALS.keys())
def test_what_vllm_does_not_take_is_refused_with_what_it_takes(
    arguments: list[str], text: str, suggestion: str
) -> None:
    found = flags.problems(arguments)
    assert any(text in problem.text and suggestion in problem.suggestion for problem in found), found


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["--max_num_seqs=64"],
        ["--max-num-seqs", "64", "--max-num-seqs=32"],
        ["-O3"],
        ["-O", "2"],
        ["-cc.mode=3", "--compilation-config.custom_ops+=none"],
        ["-ep", "--no-enable-prefix-caching"],
        ["--hf-overrides.max_position_embeddings", "4096"],
        ["--enable-auto-tool-choice", "--tool-call-parser=deepseek_v3"],
        ["--speculative-config", '{"method": "mtp", "num_speculative_tokens": 1}'],
        ["--moe-backend=Deep-GEMM"],
    ],
)
def test_what_vllm_takes_is_taken(arguments: list[str]) -> None:
    assert flags.problems(arguments) == []


H200, B200, A100 = "NVIDIA-H200", "NVIDIA-B200", "NVIDIA-A100-SXM4-80GB"


def tokens(gpu: str, *arguments: str) -> int:
    planned = plan(hardware={"gpu": gpu}, serving={"extraArgs": list(arguments)})
    assert planned.fits, planned.problems
    return planned.kv_cache_tokens


def test_the_plan_counts_a_flag_under_every_spelling() -> None:
    for default, spelled in (
        ("--max-num-seqs=64", ("--max_num_seqs=64", "--max-num-se=64", "--max-num-seqs= 6_4")),
        ("--kv-cache-dtype=fp8", ("--kv_cache_dtype=fp8", "--kv_cache-dtype=fp8", "--kv-cache-dtype=fp8_e4m3")),
        ("--performance-mode=throughput", ("--performance_mode=throughput", "--perf=throughput")),
    ):
        assert tokens(H200, default) != tokens(H200)
        for written in spelled:
            assert tokens(H200, *written.split("=")) == tokens(H200, written) == tokens(H200, default), written
    assert tokens(H200, "--max-num-seqs=512", "--max-num-seqs=64") == tokens(H200, "--max-num-seqs=64")


@pytest.mark.parametrize("written", ["-q=fp8", "-qfp8", "--block_size=64", "-cc.mode=3", "-O1", "--kv-cache-mem=4g"])
def test_what_the_plan_does_not_follow_is_told_under_every_spelling(written: str) -> None:
    planned = plan(hardware={"gpu": H200}, serving={"extraArgs": [written]})
    assert any("does not follow" in warning for warning in planned.warnings)


ATTENTION: dict[str, tuple[str, list[str], str]] = {
    "FP8 cache": (A100, ["--kv-cache-dtype=fp8"], "needs 8.9 or more"),
    "FP8 cache, otherwise spelled": (A100, ["--kv_cache_dtype", "fp8_e4m3"], "TRITON_MLA has no such KV cache"),
    "a type that no backend has": (H200, ["--kv-cache-dtype=fp8_e5m2"], "has no such KV cache"),
    "four bits": (B200, ["--kv-cache-dtype=nvfp4"], "has no such KV cache"),
    "of another generation": (A100, ["--attention-backend=FLASHMLA"], "does not run on NVIDIA-A100"),
    "in the configuration": (A100, ["-ac.backend=flash_attn_mla"], "does not run on NVIDIA-A100"),
    "for other models": (H200, ["--attention-backend", "FLASH_ATTN"], "is no backend of vLLM for this model"),
    "FP8 with a backend without it": (H200, ["--attention-backend=FLASH_ATTN_MLA", "--kv-cache-dtype=fp8"], "no such"),
    "size of blocks": (A100, ["--block-size=24"], "takes multiples of 16"),
    "size of blocks of one backend": (H200, ["--block-size=16", "--attention-backend=FLASHMLA"], "multiples of 64"),
}


@pytest.mark.parametrize(("gpu", "arguments", "text"), ATTENTION.values(), ids=ATTENTION.keys())
def test_what_the_gpus_attention_cannot_do_is_refused(gpu: str, arguments: list[str], text: str) -> None:
    planned = plan(hardware={"gpu": gpu}, serving={"extraArgs": arguments})
    about = [problem for problem in planned.problems if problem.key == "serving.extraArgs"]
    assert len(about) == 1, planned.problems
    assert text in about[0].text
    assert about[0].suggestion


@pytest.mark.parametrize(
    ("gpu", "arguments"),
    [
        (A100, ["--kv-cache-dtype=bfloat16", "--block-size=32"]),
        (A100, ["--attention-backend=auto"]),
        (H200, ["--attention-backend=FlashMLA", "--kv-cache-dtype=fp8", "--block-size=128"]),
        (B200, ["--attention-backend=CUTLASS_MLA"]),
        ("NVIDIA-L40S", ["--kv-cache-dtype=fp8"]),
    ],
)
def test_what_it_can_do_is_not(gpu: str, arguments: list[str]) -> None:
    planned = plan(hardware={"gpu": gpu}, serving={"extraArgs": arguments})
    assert [problem for problem in planned.problems if problem.key == "serving.extraArgs"] == []


def test_shipped_stacks_have_flags_that_vllm_takes() -> None:
    for file in ROOT.glob("Pulumi.*.yaml"):
        config: dict[str, Any] = yaml.safe_load(file.read_text(encoding="utf-8"))["config"]
        assert flags.problems(config.get("deepseek:serving", {}).get("extraArgs", [])) == []

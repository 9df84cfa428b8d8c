"""Experts in MXFP4: what each GPU's kernels hold of them, and where vLLM cannot load them."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from planning.headers.gpt_oss_tensors import gpt_oss_tensors
from planning.headers.safetensors import Tensor
from planning.headers.summary import Found, model_file
from planning.settings.quantities import GiB
from planning.sizing import resolved
from planning.sizing.architectures.gpt_oss import GptOss
from planning.sizing.capacity import Capacity
from planning.sizing.gpus import TABLE
from planning.sizing.model_file import KnownModel, architecture_of, model_of, read
from planning.sizing.mxfp4_experts import MARLIN, STORED, TRITON, TRTLLM, Kernels, kernels_of
from planning.sizing.resolved import Deployment
from tests.unit.planning.architectures import DEEPSEEK_V3
from tests.unit.planning.engines import engine
from tests.unit.planning.headers.repositories import GPT_OSS, QUARK, gpt_oss, header_of
from tests.unit.planning.stacks import plan

SMALL, LARGE = "openai/gpt-oss-20b", "openai/gpt-oss-120b"
A100, H100, H200, B200 = "NVIDIA-A100-SXM4-80GB", "NVIDIA-H100-80GB-HBM3", "NVIDIA-H200", "NVIDIA-B200"
RTX = "NVIDIA-RTX-PRO-6000-Blackwell-Server-Edition"


def deployment(repository: str, gpu: str, tensor: int, pipeline: int = 1, **numbers: Any) -> Deployment:
    known = model_of(repository)
    sizes = engine(tensor, pipeline, **numbers)
    return Deployment(known.architecture, known.precision, TABLE[gpu], sizes, 0.9, known.sums)


@pytest.mark.parametrize(
    ("repository", "tensors", "size"), [(SMALL, 459, 13_761_264_768), (LARGE, 687, 65_248_815_744)]
)
def test_the_files_have_the_bytes_that_the_repositories_indexes_have(repository: str, tensors: int, size: int) -> None:
    """`total_size` in model.safetensors.index.json of either."""
    known = model_of(repository)
    assert known.sums
    assert known.sums.bytes == size
    assert isinstance(known.architecture, GptOss)
    assert len(list(gpt_oss_tensors(known.architecture))) == tensors
    assert known.precision == "mxfp4"


@pytest.mark.parametrize(
    ("gpu", "kernels"), [(A100, MARLIN), (H100, TRITON), (H200, TRITON), (B200, TRTLLM), (RTX, MARLIN)]
)
def test_each_gpu_has_kernels_of_its_own_for_gpt_oss(gpu: str, kernels: Kernels) -> None:
    assert kernels_of(architecture_of(LARGE), TABLE[gpu]) is kernels


@pytest.mark.parametrize("gpu", [A100, H200, B200])
def test_the_experts_of_deepseek_are_not_rounded_up(gpu: str) -> None:
    kernels = kernels_of(DEEPSEEK_V3, TABLE[gpu])
    assert kernels is MARLIN
    for ranks in (1, 8, 16):
        assert kernels.bytes(7168, 2048 // ranks) == STORED.bytes(7168, 2048 // ranks)


@pytest.mark.parametrize(
    ("width", "held"), [(2880, 13_265_920), (1440, 6_789_120), (720, 3_532_800), (360, 1_766_400), (180, 901_120)]
)
def test_hopper_holds_what_its_layouts_make_of_an_expert(width: int, held: int) -> None:
    """HopperMXValueLayout and HopperMXScaleLayout of vLLM 0.32's triton_kernels, run on a CPU, gave these bytes."""
    assert TRITON.bytes(2880, width) == held


def test_marlin_and_tensorrt_round_both_sizes_up() -> None:
    assert MARLIN.bytes(2880, 1440) == TRTLLM.bytes(2880, 1440) == 3 * 3072 * 1536 * 17 // 32


def test_gpt_oss_takes_what_a_public_log_says() -> None:
    """65.9651 GiB on one H100 with Marlin's kernels (https://github.com/vllm-project/vllm/issues/23278).

    Which GPU takes those kernels has changed since; what they hold has not.
    """
    (rank,) = Capacity(deployment(LARGE, A100, 1)).ranks
    assert rank.weights_bytes / GiB == pytest.approx(65.9651, rel=0.005)


@pytest.mark.parametrize(
    ("gpu", "tensor", "expert"),
    [
        # Marlin: 320 to 512, 192 or 96 to 256 or 128; biases of 2 bytes.
        (A100, 1, 3 * 512 * 256 * 17 // 32 + 2 * (2 * 256 + 512)),
        (A100, 2, 3 * 512 * 128 * 17 // 32 + 2 * (2 * 128 + 512)),
        # TensorRT-LLM: the same; biases of 4 bytes.
        (B200, 2, 3 * 512 * 128 * 17 // 32 + 4 * (2 * 128 + 512)),
        # Triton: 96 to 128; of scales, 320 rows to 512 and 10 groups to 12; biases of 4 bytes.
        (H100, 2, 3 * 320 * 128 // 2 + 256 * 12 + 512 * 4 + 4 * (2 * 128 + 320)),
    ],
)
def test_a_rank_holds_its_share_of_attention_and_experts_that_are_rounded_up(
    tmp_path: Path, gpu: str, tensor: int, expert: int
) -> None:
    known = small(tmp_path)
    sizes = engine(tensor, max_model_len=512)
    (rank,) = Capacity(Deployment(known.architecture, "mxfp4", TABLE[gpu], sizes, 0.9, known.sums)).ranks
    projections = (512 * 320 + 512 + 2 * (128 * 320 + 128) + 512 * 320 + 8) // tensor + 320
    layer = 2 * (projections + 4 * 320 + 4 + 2 * 320) + 4 * expert
    rotary = 4 * 2048 * 64
    assert rank.weights_bytes == pytest.approx(3 * layer + 2 * (2 * 1024 * 320 // tensor + 320) + rotary, abs=16)


def small(folder: Path) -> KnownModel:
    """The small GPT-OSS of the tests, by its headers."""
    tensors = {name: ("model.safetensors", Tensor(name, *tensor)) for name, tensor in gpt_oss().items()}
    found = Found("owner/small", "0" * 40, GPT_OSS, GPT_OSS["quantization_config"], tensors)
    path = folder / "owner--small.json"
    path.write_text(json.dumps(model_file(found)))
    assert read(path).sums
    assert header_of(gpt_oss())[1] == json.loads(path.read_text())["bytes"]
    return read(path)


def test_half_of_the_layers_share_the_blocks_of_the_other_half() -> None:
    for tensor, heads in ((1, 8), (2, 4), (8, 1)):
        (rank,) = Capacity(deployment(LARGE, H100, tensor)).ranks
        assert rank.kv_bytes_per_token == 18 * 2 * heads * 64 * 2
    uneven = Capacity(deployment(SMALL, H100, 1, 8)).ranks
    assert [rank.kv_bytes_per_token for rank in uneven] == [2 * 2 * 8 * 64 * 2] * 8


@pytest.mark.parametrize(("pipeline", "in_flight"), [(1, 2 * 2048), (2, 3 * 2048)])
def test_each_request_holds_its_windows_blocks_too(pipeline: int, in_flight: int) -> None:
    """As vLLM counts requests at once: blocks by those of both halves, the window's with the batches in flight."""
    found = Capacity(deployment(LARGE, H200, 1, pipeline, max_model_len=131_072))
    rank = found.tightest
    of_one = 131_072 // 16 + -(-(127 + in_flight) // 16) + 1
    assert rank.blocks_of(131_072) == of_one
    assert found.kv_cache_tokens == int(rank.blocks / of_one * 131_072)
    assert found.kv_cache_memory_bytes == rank.blocks * rank.block_bytes


def test_a_short_request_fills_both_halves_alike() -> None:
    rank = Capacity(deployment(LARGE, H200, 1, max_model_len=1024)).tightest
    assert rank.blocks_of(1024) == 1024 // 16 + 1024 // 16 + 1


@pytest.mark.parametrize("blocks", [0, 1, 2, 3, 300, 529, 530, 700, 11_480])
def test_the_longest_request_is_the_longest_for_which_there_are_blocks(blocks: int) -> None:
    rank = Capacity(deployment(LARGE, H200, 1)).tightest
    rank = replace(rank, kv_cache_bytes=blocks * rank.block_bytes)
    longest = rank.longest_request
    assert longest == 0 or rank.blocks_of(longest) <= blocks
    assert rank.blocks_of(longest + 16) > blocks
    assert rank.missing_bytes(longest + 16) > 0


def test_gpt_oss_is_served_on_one_gpu_and_told_to_be_worked_out() -> None:
    one = {"gpu": H200, "gpusPerNode": 1, "nodes": 1}
    found = plan(model={"repository": f"https://huggingface.co/{LARGE}"}, hardware=one)
    assert found.fits, found.problems
    assert any("of GPT-OSS" in warning for warning in found.warnings)
    assert found.not_predicted == "how fast vLLM multiplies mxfp4 weights, is not known"


def test_a_length_that_is_suggested_has_room() -> None:
    one = {"gpu": A100, "gpusPerNode": 1, "nodes": 1}
    model = {"repository": f"https://huggingface.co/{LARGE}"}
    (problem,) = plan(model=model, hardware=one, serving={"gpuMemoryUtilization": 0.92}).problems
    assert problem.key == "serving.maxModelLen"
    length = {"gpuMemoryUtilization": 0.92, "maxModelLen": 32_768}
    assert "serving.maxModelLen: 32768" in str(problem)
    assert plan(model=model, hardware=one, serving=length).fits


def test_more_ranks_than_key_heads_are_refused() -> None:
    model, hardware = {"repository": f"https://huggingface.co/{LARGE}"}, {"gpu": H200, "gpusPerNode": 16, "nodes": 1}
    problems = plan(model=model, hardware=hardware).problems
    assert any("num_key_value_heads 8 does not divide by 16" in problem.text for problem in problems)


def test_a_cache_with_windows_is_not_divided() -> None:
    model, hardware = {"repository": f"https://huggingface.co/{LARGE}"}, {"gpu": H200, "gpusPerNode": 2, "nodes": 1}
    problems = plan(model=model, hardware=hardware, serving={"decodeContextParallelSize": 2}).problems
    assert {problem.key for problem in problems} == {"serving.decodeContextParallelSize"}


@pytest.mark.parametrize(
    ("gpu", "flag", "said"),
    [
        (A100, "--attention-backend=FLASH_ATTN", "FLASH_ATTN does not run on NVIDIA-A100"),
        (
            H200,
            "--attention-backend=FLEX_ATTENTION",
            "no backend of vLLM for this model's grouped-query attention with",
        ),
    ],
)
def test_a_backend_without_sinks_is_refused(gpu: str, flag: str, said: str) -> None:
    model, hardware = {"repository": f"https://huggingface.co/{SMALL}"}, {"gpu": gpu, "gpusPerNode": 1, "nodes": 1}
    problems = plan(model=model, hardware=hardware, serving={"extraArgs": [flag]}).problems
    assert any(said in problem.text for problem in problems)


@pytest.fixture
def quark(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if every repository were NVIDIA's R1 in NVFP4, stored by Quark in MXFP4: other names, about the same sizes."""
    nvfp4 = model_of("nvidia/DeepSeek-R1-0528-NVFP4")
    stored = replace(nvfp4, precision="mxfp4", quantization_method=QUARK["quant_method"])

    def known_model(_: str) -> KnownModel:
        return stored

    monkeypatch.setattr(resolved, "known_model", known_model)


@pytest.mark.usefixtures("quark")
@pytest.mark.parametrize("gpu", [H200, B200])
def test_experts_of_quark_are_refused_where_vllm_cannot_load_them(gpu: str) -> None:
    hardware = {"gpu": gpu, "gpusPerNode": 8, "nodes": 1}
    (problem,) = plan(hardware=hardware).problems
    assert problem.key == "hardware.gpu"
    assert "chooses kernels that do not take experts of Quark" in problem.text
    assert "--moe-backend=marlin in serving.extraArgs" in str(problem)
    served = plan(hardware=hardware, serving={"extraArgs": ["--moe-backend=marlin"]})
    assert served.fits, served.problems
    assert served.kv_cache_memory_bytes is None, "vLLM sizes the cache itself"


@pytest.mark.usefixtures("quark")
@pytest.mark.parametrize("gpu", [A100, RTX])
def test_experts_of_quark_are_served_where_marlin_is_chosen(gpu: str) -> None:
    found = plan(hardware={"gpu": gpu, "gpusPerNode": 8, "nodes": 2})
    assert found.fits, found.problems

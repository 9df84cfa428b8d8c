"""Derived files of planning/models, whose tensors are written down and not read."""

import json
from typing import Any

import pytest

from planning.headers.derived import derive, tensors_of
from planning.settings.quantities import GiB
from planning.sizing.architectures.latent_attention import LatentAttention
from planning.sizing.architectures.sparse_latent_attention import SparseLatentAttention
from planning.sizing.memory import stages
from planning.sizing.model_file import FOLDER, architecture_of, known_model
from planning.sizing.weights import repository_bytes
from tests.unit.planning.engines import engine

SUMMED = [
    written
    for path in sorted(FOLDER.glob("*.json"))
    if "layers" in (written := json.loads(path.read_bytes())) and written["source"] == "derived"
]


def decisive(written: dict[str, Any]) -> str:
    """What a file's sums follow from."""
    numbers = {name: number for name, number in written["config"].items() if name != "max_position_embeddings"}
    return json.dumps([numbers, written.get("quantization")], sort_keys=True)


DIFFERENT = {decisive(written): written for written in SUMMED}


@pytest.mark.parametrize("written", DIFFERENT.values(), ids=[written["repository"] for written in DIFFERENT.values()])
def test_a_shipped_file_has_the_sums_of_its_tensors(written: dict[str, Any]) -> None:
    assert derive(written) == written


def test_files_of_the_same_numbers_have_the_same_sums() -> None:
    assert len(SUMMED) > len(DIFFERENT)
    for written in SUMMED:
        assert written["layers"] == DIFFERENT[decisive(written)]["layers"]


def test_kimi_k25_has_the_bytes_that_a_listing_of_its_files_has() -> None:
    """554.27 GiB in 208,550 tensors, of which 208,215 are the language model's."""
    known = known_model("https://huggingface.co/moonshotai/Kimi-K2.5")
    assert known
    assert known.sums
    assert known.precision == "int4"
    assert known.sums.reads_images
    assert known.sums.bytes / GiB == pytest.approx(554.27, abs=0.01)
    assert isinstance(known.architecture, LatentAttention)
    written = json.loads((FOLDER / "moonshotai--Kimi-K2.5.json").read_bytes())
    assert len(list(tensors_of(known.architecture, written["quantization"]))) == 208_550 - 335


def test_a_dense_projection_in_nvfp4_is_stored_as_nvidia_stores_it() -> None:
    written = json.loads((FOLDER / "nvidia--DeepSeek-R1-0528-FP4.json").read_bytes())
    a = architecture_of("nvidia/DeepSeek-R1-0528-FP4")
    assert isinstance(a, LatentAttention)
    prefix = "model.layers.0.mlp.down_proj."
    found = {t.name: (t.type, t.shape) for t in tensors_of(a, written["quantization"]) if t.name.startswith(prefix)}
    assert found == {
        f"{prefix}weight": ("U8", (7168, 9216)),
        f"{prefix}weight_scale": ("F8_E4M3", (7168, 1152)),
        f"{prefix}weight_scale_2": ("F32", ()),
        f"{prefix}input_scale": ("F32", ()),
    }


@pytest.mark.parametrize(("element", "packed", "latent"), [(2, False, 1152), (1, True, 656), (1, False, 576)])
def test_the_indexers_cache_is_beside_the_latent_one(element: int, latent: int, *, packed: bool) -> None:
    known = known_model("deepseek-ai/DeepSeek-V3.2")
    assert known
    ((_, stage),) = stages(
        known.architecture, known.precision, engine(8, kv_cache_element_bytes=element, packed_cache=packed), known.sums
    )
    assert stage.kv_bytes_per_token == 61 * (latent + 132)


def test_an_indexer_is_on_every_rank_and_its_keys_in_bf16() -> None:
    sparse, dense = known_model("deepseek-ai/DeepSeek-V3.2"), known_model("deepseek-ai/DeepSeek-V3.1")
    assert sparse
    assert dense
    ((_, with_indexer),) = stages(sparse.architecture, "fp8", engine(8), sparse.sums)
    ((_, without),) = stages(dense.architecture, "fp8", engine(8))
    queries, scales = 64 * 128 * 1536, 4 * 64 * 12
    keys_and_weights, norm = 2 * (128 + 64) * 7168, 2 * 2 * 128
    assert with_indexer.weights - without.weights == pytest.approx(
        61 * (queries + scales + keys_and_weights + norm), rel=1e-3
    )


def test_glm_52_shares_what_an_indexer_has_chosen() -> None:
    """As a listing of its layers says: the first three choose, then every fourth."""
    a = architecture_of("zai-org/GLM-5.2")
    assert isinstance(a, SparseLatentAttention)
    chooses = [layer for layer in range(78) if layer < 3 or (layer - 2) % 4 == 0]
    assert [layer for layer in range(78) if a.has_indexer(layer)] == chooses
    assert a.beside_cache_bytes(range(78)) == 132 * len(chooses)


def test_a_derived_file_is_found_whatever_its_case() -> None:
    known = known_model("https://mirror.example.com/ZAI-ORG/glm-5-fp8.git")
    assert known
    assert known.repository == "zai-org/GLM-5-FP8"


def test_nvfp4_takes_what_its_card_says_of_fp8() -> None:
    """1.6 times less than FP8, with attention and the layer that predicts further tokens in BF16."""
    small, large = known_model("nvidia/DeepSeek-R1-0528-NVFP4"), known_model("deepseek-ai/DeepSeek-R1-0528")
    assert small
    assert small.sums
    assert large
    assert repository_bytes(large.architecture, "fp8") / small.sums.bytes == pytest.approx(1.6, abs=0.05)

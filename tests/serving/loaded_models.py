"""Loads models with vLLM on CPUs and prints what each takes, as a line of JSON: runs in a pod that has vLLM.

The models come as a ZIP archive of folders on standard input. By folder it tells `weights`, the bytes of the parameters
as they were loaded, with what latent attention keeps beside them; `kv_tokens`, what a cache of KV_BYTES holds; and
`answer_tokens`, how many it answered. Bytes are counted before vLLM packs parameters for CPUs, where they are no longer
parameters of the model.
"""

# vLLM is imported where it is used, after its variables are set, and it has no types that can be checked here.
# ruff: noqa: PLC0415, T201
# pyright: reportMissingImports=false, reportUnknownVariableType=false, reportUnknownMemberType=false
# pyright: reportUnknownArgumentType=false

import io
import json
import os
import sys
import tempfile
import zipfile
from pathlib import Path
from typing import Any

KV_BYTES = 16 * 1024**2
BACKENDS = {"int4": "CPU_MLA", "grouped": "CPU_ATTN"}
"""Of attention, by folder: on processors with AMX vLLM would pack what GPUs keep, and take larger blocks."""

KEPT = ("W_UV", "W_UK_T")
"""What latent attention keeps beside a quantized `kv_b_proj`. What kernels for CPUs make is in no GPU's memory."""

ANSWER_TOKENS = 4


def count_loaded() -> list[int]:
    """Have the bytes of every model that is loaded from now on written into the list that is returned."""
    from vllm.model_executor.model_loader import base_loader

    process, counts = base_loader.process_weights_after_loading, list[int]()

    def counted(model: Any, *others: Any) -> None:
        loaded = [tensor.nbytes for _, tensor in model.named_parameters()]
        process(model, *others)
        kept = [tensor.nbytes for name, tensor in model.named_parameters() if name.rpartition(".")[2] in KEPT]
        counts.append(sum(loaded) + sum(kept))

    base_loader.process_weights_after_loading = counted
    return counts


def served(folder: Path, counts: list[int]) -> dict[str, int]:
    """Load one model, ask it, and return what it took."""
    from vllm import LLM, SamplingParams
    from vllm.distributed import cleanup_dist_env_and_memory

    model = LLM(
        str(folder),
        attention_backend=BACKENDS[folder.name],
        enforce_eager=True,
        max_model_len=256,
        max_num_seqs=2,
        kv_cache_memory_bytes=KV_BYTES,
    )
    cache = model.llm_engine.vllm_config.cache_config
    asked = SamplingParams(max_tokens=ANSWER_TOKENS, ignore_eos=True)
    (answer,) = model.generate("a word", asked, use_tqdm=False)
    found = {
        "weights": counts.pop(),
        "kv_tokens": cache.num_gpu_blocks * cache.block_size,
        "answer_tokens": len(answer.outputs[0].token_ids),
    }
    del model
    cleanup_dist_env_and_memory()
    return found


def main() -> None:
    """Load one model after the other."""
    # In this process, so that its parameters can be counted; on whatever cores there are.
    os.environ |= {"VLLM_ENABLE_V1_MULTIPROCESSING": "0", "VLLM_CPU_OMP_THREADS_BIND": "nobind", "HF_HUB_OFFLINE": "1"}
    os.environ.pop("VLLM_CPU_KVCACHE_SPACE", None)  # of the pod; it would count in place of KV_BYTES
    counts = count_loaded()
    with tempfile.TemporaryDirectory() as scratch:
        with zipfile.ZipFile(io.BytesIO(sys.stdin.buffer.read())) as archive:
            archive.extractall(scratch)
        found = {folder.name: served(folder, counts) for folder in sorted(Path(scratch).iterdir())}
    print(json.dumps(found), flush=True)


if __name__ == "__main__":
    main()

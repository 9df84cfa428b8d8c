"""Weight matrices as a linear layer holds them, in a repository and on one rank of vLLM."""

from dataclasses import dataclass
from typing import Literal

Precision = Literal["bf16", "fp8", "int4", "nvfp4", "mxfp4"]

BF16 = 2
FP32 = 4
FP8_BLOCK = 128
"""Rows and columns of an FP8 weight that share one float32 scale (`weight_block_size` of config.json)."""


@dataclass(frozen=True)
class Matrix:
    """`count` weights of `rows` × `columns` (outputs × inputs).

    `fp8` says whether an FP8 repository quantizes it; embedding, head, router and norms stay in BF16. `split` is the
    dimension that tensor parallelism divides; without one every rank holds the whole. No rank holds fewer than
    `least_rows` of the rows: more ranks than key heads have copies of them.
    """

    rows: int
    columns: int
    fp8: bool = True
    split: Literal["rows", "columns"] | None = None
    count: int = 1
    least_rows: int = 0

    def bytes(self, precision: Precision, tensor_parallel_size: int = 1) -> int:
        """Bytes on one of `tensor_parallel_size` ranks, block scales included.

        Raises ValueError for formats that only a repository's own files tell.
        """
        if precision not in ("bf16", "fp8"):
            raise ValueError(f"sizes of {precision} weights are read from the repository's files")
        rows = max(self.rows // tensor_parallel_size, self.least_rows) if self.split == "rows" else self.rows
        columns = self.columns // tensor_parallel_size if self.split == "columns" else self.columns
        if precision == "fp8" and self.fp8:
            scales = -(-rows // FP8_BLOCK) * -(-columns // FP8_BLOCK)
            return self.count * (rows * columns + FP32 * scales)
        return self.count * BF16 * rows * columns


def feed_forward(hidden: int, intermediate: int, count: int = 1) -> list[Matrix]:
    """Gate, up and down projections of a dense layer, of the shared expert, or of `count` experts."""
    return [
        Matrix(intermediate, hidden, split="rows", count=2 * count),
        Matrix(hidden, intermediate, split="columns", count=count),
    ]

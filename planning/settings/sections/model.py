"""The keys of deepseek:model."""

from typing import Annotated, Literal

from pydantic import AfterValidator, ConfigDict, Field, WithJsonSchema, with_config
from typing_extensions import TypedDict

from planning.settings.addresses import ADDRESS, REVISION, check_address, check_revision
from planning.settings.sections.base import CHANGES_WEIGHTS, REDOWNLOADS, RESIZES_CACHE, Count, Section, changing
from planning.settings.sources import Source, source_of

Address = Annotated[str, AfterValidator(check_address), WithJsonSchema({"type": "string", "pattern": ADDRESS})]
"""Of a git repository, a bucket or a registry, without a user's name or password in it: a token has its own key."""
Revision = Annotated[str, AfterValidator(check_revision), WithJsonSchema({"type": "string", "pattern": REVISION})]

FOLDER = r"^[A-Za-z0-9_][A-Za-z0-9._-]*(/[A-Za-z0-9_][A-Za-z0-9._-]*)*$"


@with_config(ConfigDict(extra="forbid", strict=True))
class Architecture(TypedDict, total=False):
    """Numbers of a model's config.json, by its own names."""

    hidden_size: Count
    intermediate_size: Count
    moe_intermediate_size: Count
    num_hidden_layers: Annotated[int, Field(ge=1, le=1_000)]
    first_k_dense_replace: Annotated[int, Field(ge=0, le=100_000)]
    moe_layer_freq: Count
    n_routed_experts: Count | None
    n_shared_experts: Annotated[int, Field(ge=0, le=1_000)] | None
    num_experts_per_tok: Count
    num_attention_heads: Count
    q_lora_rank: Count | None
    kv_lora_rank: Count
    qk_nope_head_dim: Count
    qk_rope_head_dim: Count
    v_head_dim: Count
    vocab_size: Annotated[int, Field(ge=1, le=100_000_000)]
    max_position_embeddings: Annotated[int, Field(ge=1, le=1_000_000_000)]
    num_nextn_predict_layers: Annotated[int, Field(ge=0, le=100)]
    tie_word_embeddings: bool


class Model(Section):
    """Which weights are served."""

    repository: Address = Field(
        description=(
            "Where the weights are: the address of a Git repository, whose large files Git LFS holds; or of a folder "
            "in a bucket, `s3://BUCKET/FOLDER`, of a store that is not Amazon's `s3+https://HOST/BUCKET/FOLDER`, where "
            "an object `SHA256SUMS` beside the files has their digests; or of an artifact in a registry, "
            "`oci://HOST/NAME`, with a layer for each file (docs/weights.md)."
        ),
        examples=[
            "https://huggingface.co/deepseek-ai/DeepSeek-V3-0324",
            "s3://models/deepseek-ai/DeepSeek-V3",
            "oci://registry.example.com/models/deepseek-v3",
        ],
        json_schema_extra=changing(
            "downloads another model first, then replaces the Ray cluster: serving stops until it is loaded; of the "
            "same one at another address only the commit is compared"
        ),
    )
    revision: Revision = Field(
        default="main",
        description=(
            "Commit, tag or branch. A full commit (40 hexadecimal digits) pins the weights; a branch is resolved "
            "once, at its first download. Of a bucket it is the SHA-256 of `SHA256SUMS`, which pins the weights, or "
            "any name for what is there at the first download. Of an artifact it is a tag, or the digest of its "
            "manifest, which pins the weights. Code of the repository (`--trust-remote-code`) runs "
            "only where the weights are pinned."
        ),
        json_schema_extra=REDOWNLOADS,
    )
    folder: Annotated[str, Field(pattern=FOLDER, max_length=200)] | None = Field(
        default=None,
        description=(
            "Folder of `storage.existingClaim` that somebody has filled with the model's files. Nothing is downloaded: "
            "every file is read once, and its digest kept on the volume. `repository` still says which model it is."
        ),
        examples=["models/DeepSeek-V3"],
        json_schema_extra=changing(
            "reads the folder by the download Job first, then replaces the Ray cluster: serving stops until the model "
            "is loaded again"
        ),
    )
    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9_-])?$", max_length=63)] | None = Field(
        default=None,
        description=(
            "Short name by which clients may ask for the model, and its folder below /mnt/models; the "
            "repository's last path segment if unset."
        ),
        json_schema_extra=REDOWNLOADS,
    )
    precision: Literal["bf16", "fp8"] | None = Field(
        default=None,
        description=(
            "How the repository stores the weights; known for known repositories. It says what there is: it "
            "converts nothing."
        ),
        json_schema_extra=CHANGES_WEIGHTS,
    )
    architecture: Architecture = Field(
        default={},
        description="Numbers of config.json, over those of the known repository, or all of them for an unknown one.",
        json_schema_extra=RESIZES_CACHE,
    )

    planned: bool = Field(
        default=True,
        description=(
            "Whether the memory of the model is planned. `false` serves a model whose sizes the plan does not know: "
            "vLLM sizes its KV cache itself, and nothing tells beforehand whether the model fits."
        ),
        json_schema_extra=CHANGES_WEIGHTS,
    )

    @property
    def source(self) -> Source:
        """The kind of place that the files come from."""
        return source_of(self.repository)

    @property
    def is_pinned(self) -> bool:
        """Whether the revision always names the same files."""
        return self.source.is_pinned(self.revision)

    @property
    def short_name(self) -> str:
        """The configured name, else the last segment of the repository's path without `.git`."""
        return self.name or self.repository.rsplit("/", 1)[-1].removesuffix(".git")

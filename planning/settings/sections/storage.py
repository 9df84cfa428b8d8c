"""The keys of deepseek:storage."""

from typing import Annotated, Literal

from pydantic import Field

from planning.settings.quantities import BANDWIDTH, bits_per_second_of, bytes_of
from planning.settings.sections.base import (
    ANOTHER_CLAIM,
    BOUNDS_ONLY,
    CHECKS_DOWNLOAD,
    PLAN_ONLY,
    Duration,
    Name,
    Quantity,
    Section,
    changing,
)


class Storage(Section):
    """Where the weights lie."""

    size: Quantity | None = Field(
        default=None,
        description="Size of the claim; required unless existingClaim is set.",
        examples=["3Ti", "700Gi"],
        json_schema_extra=changing("grows the claim in place, if its class allows it"),
    )
    storage_class: Name | None = Field(
        default=None,
        description="StorageClass of the claim; the cluster's default if unset.",
        json_schema_extra=ANOTHER_CLAIM,
    )
    access_mode: Literal["ReadWriteMany", "ReadWriteOnce"] = Field(
        default="ReadWriteMany",
        description="Several nodes need ReadWriteMany.",
        json_schema_extra=ANOTHER_CLAIM,
    )
    existing_claim: Name | None = Field(
        default=None,
        description="Name of a claim in the namespace to use in place of one of the stack's own.",
        json_schema_extra=ANOTHER_CLAIM,
    )
    keep: bool = Field(
        default=True,
        description="The claim, and with it the weights, outlives `pulumi destroy`.",
        json_schema_extra=changing("decides what the next destroy does, nothing now"),
    )
    other_revisions: Literal["keep", "remove"] = Field(
        default="keep",
        description=(
            "What becomes of the model's revisions that are not configured, once the configured one has answered: "
            "they stay for a quick way back, or their folders are removed from the volume."
        ),
        json_schema_extra=changing("removes them at the next up, or no longer does; nothing that serves is touched"),
    )
    verify: Literal["marker", "full"] = Field(
        default="marker",
        description=(
            "What is checked of weights that are already there: the completion marker, or the SHA-256 of every "
            "file (reads all of them once)."
        ),
        json_schema_extra=changing("runs the download Job again, which checks the weights so; serving goes on"),
    )
    download_pods: Annotated[int, Field(ge=1, le=64)] = Field(
        default=1,
        description="Pods that download side by side; more than one needs ReadWriteMany.",
        json_schema_extra=CHECKS_DOWNLOAD,
    )
    download_bandwidth: Annotated[str, Field(pattern=f"^{BANDWIDTH}$")] | None = Field(
        default=None,
        description=(
            "What the cluster gets from the repository's host, all pods together: the plan then shows how long "
            "the download takes."
        ),
        examples=["10Gbit"],
        json_schema_extra=PLAN_ONLY,
    )
    mount_timeout: Duration = Field(
        default=15 * 60,
        description="Bound of the wait until the claim has its volume and a pod has mounted it.",
        json_schema_extra=BOUNDS_ONLY,
    )
    download_timeout: Duration = Field(
        default=24 * 3600, description="Bound of the download.", json_schema_extra=BOUNDS_ONLY
    )

    @property
    def keeps_own_claim(self) -> bool:
        """Whether a destroy leaves a claim that the stack has made."""
        return self.keep and self.existing_claim is None

    @property
    def size_bytes(self) -> int | None:
        """Bytes of the claim, if its size is given."""
        return None if self.size is None else bytes_of(self.size)

    @property
    def download_bits_per_second(self) -> float | None:
        """Bits a second, if a bandwidth is given."""
        return None if self.download_bandwidth is None else bits_per_second_of(self.download_bandwidth)

"""Pods that download an artifact, and the sizes of what they download."""

from pathlib import Path

from fetch_pods import PodVolume
from oci_registry import Registry

SIZES = {"model-1.safetensors": 3_000_000, "model-2.safetensors": 700_001, "extra/odd [name] ü.safetensors": 5_000}


class OciVolume(PodVolume):
    """A volume whose pods run the program for registries."""

    program = "fetch_oci"
    folders = ("fetch/oci", "fetch/shared", "shared")

    def __init__(self, path: Path, scratch: Path, registry: Registry) -> None:
        super().__init__(path, scratch)
        self.registry = registry

    def address(self) -> str:
        return self.registry.url()

    def environment(self, **changes: str) -> dict[str, str]:
        return super().environment(**{"STALL_SECONDS": "20", "PATIENCE_SECONDS": "60", **changes})

"""Pods that download from a bucket, and the sizes of what they download."""

from pathlib import Path

from fetch_pods import PodVolume
from s3_store import PYTHON, Store

SIZES = {"model-1.safetensors": 3_000_000, "model-2.safetensors": 700_001, "extra/odd [name] ü.safetensors": 5_000}


class S3Volume(PodVolume):
    """A volume whose pods run the program for S3 with what its image has."""

    python = PYTHON
    program = "fetch_s3"
    folders = ("fetch/s3", "fetch/shared", "shared")

    def __init__(self, path: Path, scratch: Path, store: Store) -> None:
        super().__init__(path, scratch)
        self.store = store

    def address(self) -> str:
        return self.store.url()

    def environment(self, **changes: str) -> dict[str, str]:
        return super().environment(**{"MODEL_TOKEN": "ANY:secret-key", "STALL_SECONDS": "3", **changes})

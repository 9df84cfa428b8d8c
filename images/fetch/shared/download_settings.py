"""What is to be downloaded and how, as the pod's environment says."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from failure import Failed


@dataclass(frozen=True, kw_only=True)
class DownloadSettings:
    """One repository at one revision, on its way to one folder."""

    repository: str
    """The address of the weights; no password in it."""
    revision: str
    """A branch, a tag, a full commit, or a digest."""
    directory: Path
    """Where the model's files go, on the volume."""
    cache: Path
    """Where on the volume the pods that serve this revision keep what they compile."""
    volume: Path
    token: str
    """Empty for a public repository."""
    verify_everything: bool
    """Whether files are read again although the marker says that they are complete."""
    job: str
    """The name of the Kubernetes Job, empty outside of one."""
    job_uid: str
    namespace: str
    index: int
    """Which of the pods this is; number 0 finishes the work of all."""
    pods: int
    patience_seconds: float
    """How long to try without a single new byte."""
    stall_seconds: int
    """After how long a transfer without a byte is broken off."""
    planned_bytes: int = 0
    """Of all tensors, by the plan; 0 where none is made."""
    name: str = ""
    """OWNER/NAME of the model."""
    model_file: str = ""
    """The ConfigMap for the model's own file of planning/models; empty where it is not kept."""
    planned_model_file: Path | None = None
    """The file of planning/models with the sums of the repository's tensors; empty where the plan has none."""

    @property
    def state(self) -> Path:
        """The program's own files: inventory, marker, leases. One place whatever the source: each sees the others'."""
        return self.directory / ".git" / "fetch"


def from_environment(environment: Mapping[str, str]) -> DownloadSettings:
    """Read the pod's variables. Raises Failed for a missing one."""
    try:
        return DownloadSettings(
            repository=environment["MODEL_REPOSITORY"],
            revision=environment["MODEL_REVISION"],
            directory=Path(environment["MODEL_DIRECTORY"]),
            cache=Path(environment.get("CACHE_DIRECTORY") or f"{environment['VOLUME']}/cache"),
            volume=Path(environment["VOLUME"]),
            token=environment.get("MODEL_TOKEN", ""),
            verify_everything=environment.get("VERIFY") == "full",
            job=environment.get("JOB_NAME", ""),
            job_uid=environment.get("JOB_UID", ""),
            namespace=environment.get("POD_NAMESPACE", ""),
            index=int(environment.get("JOB_COMPLETION_INDEX") or 0),
            pods=int(environment.get("DOWNLOAD_PODS") or 1),
            patience_seconds=float(environment.get("PATIENCE_SECONDS") or 1800),
            stall_seconds=int(environment.get("STALL_SECONDS") or 30),
            planned_bytes=int(environment.get("PLANNED_WEIGHTS_BYTES") or 0),
            name=environment.get("MODEL_NAME", ""),
            model_file=environment.get("MODEL_FILE", ""),
            planned_model_file=Path(planned) if (planned := environment.get("PLANNED_MODEL_FILE")) else None,
        )
    except KeyError as missing:
        raise Failed(f"The environment variable {missing} is not set.") from None

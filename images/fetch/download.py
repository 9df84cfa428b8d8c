"""What is to be downloaded and how, as the pod's environment says."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from failure import Failed


@dataclass(frozen=True, kw_only=True)
class Download:
    """One repository at one revision, on its way to one folder."""

    repository: str
    """The URL to clone; no password in it."""
    revision: str
    """A branch, a tag, or a full commit."""
    directory: Path
    """Where the model's files go, on the volume."""
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

    @property
    def state(self) -> Path:
        """The program's own files: inventory, marker, leases."""
        return self.directory / ".git" / "fetch"


def from_environment(environment: Mapping[str, str]) -> Download:
    """Read the pod's variables. Raises Failed for a missing one, or for one that would put a password on the volume."""
    try:
        repository = environment["MODEL_REPOSITORY"]
        if urlsplit(repository).password:
            raise Failed("MODEL_REPOSITORY has a password in it, which would land on the volume: use MODEL_TOKEN.")
        return Download(
            repository=repository,
            revision=environment["MODEL_REVISION"],
            directory=Path(environment["MODEL_DIRECTORY"]),
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
        )
    except KeyError as missing:
        raise Failed(f"The environment variable {missing} is not set.") from None

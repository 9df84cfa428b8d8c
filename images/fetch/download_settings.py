"""What is to be downloaded and how, as the pod's environment says."""

from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path
from urllib.parse import urlsplit

from failure import Failed

PROTOCOLS = ("https", "http", "ssh", "git")
"""Git has more, of which one runs any command and one reads any file."""


@dataclass(frozen=True, kw_only=True)
class DownloadSettings:
    """One repository at one revision, on its way to one folder."""

    repository: str
    """The URL to clone; no password in it."""
    revision: str
    """A branch, a tag, or a full commit."""
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

    @property
    def state(self) -> Path:
        """The program's own files: inventory, marker, leases."""
        return self.directory / ".git" / "fetch"


def from_environment(environment: Mapping[str, str]) -> DownloadSettings:
    """Read the pod's variables. Raises Failed for a missing one, or for one that would give a secret away."""
    try:
        repository = environment["MODEL_REPOSITORY"]
        check_repository(repository, token=environment.get("MODEL_TOKEN", ""))
        return DownloadSettings(
            repository=repository,
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
        )
    except KeyError as missing:
        raise Failed(f"The environment variable {missing} is not set.") from None


def check_repository(address: str, *, token: str) -> None:
    """Raise Failed for an address that would put a password on the volume, or a token onto the network as it is."""
    url = urlsplit(address)
    if url.password:
        raise Failed("MODEL_REPOSITORY has a password in it, which would land on the volume: use MODEL_TOKEN.")
    if url.scheme not in PROTOCOLS:
        raise Failed(f"MODEL_REPOSITORY must begin with one of {', '.join(f'{name}://' for name in PROTOCOLS)}.")
    if token and url.scheme != "https" and not is_this_machine(url.hostname or ""):
        raise Failed("MODEL_TOKEN is sent over https:// only: correct deepseek:model.repository, or give no token.")


def is_this_machine(host: str) -> bool:
    """Whether what is sent to the host leaves no network interface."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"

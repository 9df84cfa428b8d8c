"""The folder of a model's revision on the volume: made, and never filled with anything else."""

from collections.abc import Callable

from download_settings import DownloadSettings
from failure import Failed
from inventory import Inventory


def make_folders(download: DownloadSettings) -> None:
    """Make the model's folder, and below the volume's `cache` one for what the pods compile that serve it."""
    for folder in (download.volume / "cache", download.cache):
        if not folder.exists():
            folder.mkdir(exist_ok=True)
            folder.chmod(0o2775)
    download.state.mkdir(parents=True, exist_ok=True)


def check_identity(download: DownloadSettings, found: Inventory, address: str, resolve: Callable[[], str]) -> None:
    """Raise Failed when the folder holds something else: what may be being served is never replaced in its place.

    The same commit of another repository, or under the name of another revision, is the same files.
    """
    same = (found.repository, found.revision) == (address, download.revision)
    if not same and resolve() != found.commit:
        raise Failed(
            f"{download.directory} holds {found.revision} of {found.repository}, commit {found.commit}; "
            f"{download.revision} of {address} is another commit: set deepseek:model.name, so that it gets "
            "a folder of its own, or remove that folder if nothing serves it."
        )

"""How the pods of one Job tell each other which shares of the files are whole."""

from pathlib import Path

from download_settings import DownloadSettings
from inventory import Inventory


def is_verified(download: DownloadSettings, files: Inventory, number: int) -> bool:
    """Whether another pod of this Job has verified a share. What an earlier Job verified is read again."""
    try:
        return record(download, number).read_text() == signature(download, files)
    except FileNotFoundError:
        return False


def record(download: DownloadSettings, number: int) -> Path:
    """Return the file by which a pod tells the finishing one that its share is whole."""
    return download.state / f"share-{number}-of-{download.pods}.verified"


def signature(download: DownloadSettings, files: Inventory) -> str:
    """Return what such a file holds."""
    return f"{download.job_uid or download.job} {files.commit}"

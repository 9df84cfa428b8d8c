"""Takes files over from where an earlier version of this program put them.

It put a revision with a slash in its name, `a/b`, into the folder `a-b`, which a revision `a-b` has too.

Its files get second names in the folder that the revision has now. So nothing is downloaded again and nothing is on the
disk twice, and what serves from the earlier folder is not touched.
"""

import logging
import os
from pathlib import Path

import inventory
from download_settings import DownloadSettings
from inventory import MARKER, Inventory
from object_store import ObjectStore

log = logging.getLogger(__name__)


def earlier_folder(download: DownloadSettings) -> Path:
    """Return where the revision would have been."""
    return download.directory.with_name(download.revision.replace("/", "-"))


def earlier_download(download: DownloadSettings) -> Inventory | None:
    """Return what is complete there, if it is this revision of this repository. Its commit stays the revision's."""
    folder = earlier_folder(download)
    found = None if folder == download.directory else inventory.read(folder / ".git" / "fetch" / MARKER)
    if found and (found.repository, found.revision) == (download.repository, download.revision):
        return found
    return None


def take_over(download: DownloadSettings, files: Inventory) -> None:
    """Link the large files into the revision's folder. What cannot be linked is downloaded; everything is verified."""
    earlier, store = ObjectStore(earlier_folder(download), files), ObjectStore(download.directory, files)
    for file in store.missing(files.large):
        source, target = earlier.locate(file), store.object_path(file)
        if source:
            target.parent.mkdir(parents=True, exist_ok=True)
            try:
                os.link(source, target)
            except OSError as error:
                log.warning("%s cannot be taken over from %s and is downloaded: %s", file.path, source, error)

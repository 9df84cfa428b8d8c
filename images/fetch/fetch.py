"""Put a model's Git LFS repository onto a volume: whole, verified, once on the disk.

    python3 -m fetch

The marker `.git/fetch/complete.json` is written last; while it matches, another run ends within a second. Killed at
any moment, the next run goes on. Every pod of an Indexed Job brings its share of the objects; number 0 then goes
through the other shares, takes over those that nobody works on, and finishes. download_settings.py documents the
environment.
"""

import logging
import sys
from contextlib import closing
from pathlib import Path

import download_program
import inventory
from download_metrics import METRICS
from download_settings import DownloadSettings
from earlier import earlier_download, take_over
from failure import Failed, Interrupted, MayPass, binary
from git_repository import GitRepository
from inventory import INVENTORY, MARKER, Inventory, shares
from lease import hold
from links import check_links, leaving, links_on_disk
from model_folder import check_identity, make_folders
from object_store import ObjectStore
from patience import Patience
from pod_shares import is_verified, record, signature
from progress import reported, tell
from repository_address import check_repository
from transfer import Transfer
from verification import Verifier, small_file_is_whole

log = logging.getLogger(__name__)


def main() -> int:
    """Return the exit code."""
    return download_program.main(attempt)


def attempt(download: DownloadSettings) -> None:
    """Do what is left to do once. Raises Failed, or OSError for the volume's own errors."""
    try:
        check_repository(download.repository, token=download.token)
        make_folders(download)
        marker = inventory.read(download.state / MARKER)
        if marker and is_untouched(download.directory, marker) and not download.verify_everything:
            check_identity(download, marker, download.repository, GitRepository(download).resolve)
            log.info("%s is complete: commit %s, %s", download.directory, marker.commit, binary(marker.size))
            return
        files = prepare(download)
        bring(download, files)
        if download.index == 0:
            finish(download, files)
    except Interrupted as why:
        ended = Failed if why.lasting else MayPass
        raise ended(f"Git failed on {download.repository}: {why}") from why


def is_untouched(directory: Path, marker: Inventory) -> bool:
    """Whether every file is there with its size, and no symbolic link leaves the folder. Reads no content."""
    return marker.is_on(directory) and not leaving(links_on_disk(directory, marker))


def prepare(download: DownloadSettings) -> Inventory:
    """Return the files of the revision. A branch is resolved once: the first inventory on the volume decides."""
    patience = Patience(download)
    with hold(download.state / "prepare.lease"):
        found = inventory.read(download.state / INVENTORY)
        if found:
            check_identity(download, found, download.repository, GitRepository(download).resolve)
            restore_small(download, found)
            check_links(links_on_disk(download.directory, found))
            return found
        earlier = earlier_download(download)
        while True:
            try:
                repository = GitRepository(download)
                files = repository.clone(earlier.commit if earlier else repository.resolve())
                break
            except Interrupted as why:
                patience.wait(why)
        if earlier:
            take_over(download, files)
        files.write(download.state / INVENTORY)
    large = len(files.files) - len(files.small)
    tell(
        download,
        f"{download.revision} of {download.repository} is commit {files.commit}: {len(files.files)} files, "
        f"{large} of them in Git LFS, {binary(files.size)}",
    )
    return files


def bring(download: DownloadSettings, files: Inventory) -> None:
    """Download and verify this pod's share; as number 0 then also whatever the other pods have not done."""
    store = ObjectStore(download.directory, files)
    divided = shares(files.large, download.pods)
    numbers = range(download.pods) if download.index == 0 else [download.index]
    mine = [file for number in numbers for file in divided[number]]
    total = sum(file.size for file in mine)
    with closing(Verifier(store)) as verifier:
        progress = (total, lambda: store.received(mine), lambda: verifier.verified_bytes)
        METRICS.follow(*progress)
        with reported(download, *progress):
            transfer = Transfer(download, GitRepository(download), store, verifier)
            for number in numbers:
                with hold(download.state / f"share-{number}-of-{download.pods}.lease") as lease:
                    if number == download.index or not is_verified(download, files, number):
                        transfer.bring(divided[number], lease)
                        record(download, number).write_text(signature(download, files))


def finish(download: DownloadSettings, files: Inventory) -> None:
    """Put every file in its place, check the small ones, and write the marker."""
    store = ObjectStore(download.directory, files)
    with hold(download.state / "finish.lease") as lease:
        for file in files.large:
            store.place(file)
        restore_small(download, files)
        store.clean()
        lease.check()
        files.write(download.state / MARKER)
    log.info("%s is complete and verified: %s", download.directory, binary(files.size))


def restore_small(download: DownloadSettings, files: Inventory) -> None:
    """Write the files that Git itself holds again where they are not as committed, and see them to the disk."""
    folder = download.directory
    damaged = [file for file in files.small if not small_file_is_whole(file, folder / file.path)]
    if damaged:
        log.warning("%s changed on the volume: written again", ", ".join(file.path for file in damaged))
        GitRepository(download).write_small(damaged)
    for file in files.small:
        if not small_file_is_whole(file, folder / file.path):
            (download.state / INVENTORY).unlink()
            raise Failed(f"Git's own copy of {file.path} on the volume is damaged. The next run clones it again.")
        if not (folder / file.path).is_symlink():
            inventory.sync(folder / file.path)


if __name__ == "__main__":
    sys.exit(main())

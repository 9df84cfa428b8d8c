"""Put a model's Git LFS repository onto a volume: whole, verified, once on the disk.

    python3 -m fetch

The marker `.git/fetch/complete.json` is written last; while it matches, another run ends within a second. Killed at
any moment, the next run goes on. Every pod of an Indexed Job brings its share of the objects; number 0 then goes
through the other shares, takes over those that nobody works on, and finishes. download_settings.py documents the
environment.
"""

import logging
import os
import signal
import sys
import time
from contextlib import closing
from pathlib import Path
from types import FrameType

import connections
import failure
import inventory
from download_metrics import METRICS
from download_settings import DownloadSettings, from_environment
from earlier import earlier_download, take_over
from failure import Failed, Interrupted, MayPass, binary
from git_repository import GitRepository
from inventory import INVENTORY, MARKER, Inventory, shares
from lease import hold
from links import check_links, leaving, links_on_disk
from metrics import PORT, tell_metrics
from object_store import ObjectStore
from progress import reported, show, tell
from repetition import TRANSIENT
from transfer import Patience, Transfer
from verification import Verifier, small_file_is_whole

log = logging.getLogger(__name__)

LASTING = 1
"""Exit code that ends the Job: somebody has to change something first."""

MAY_PASS = os.EX_TEMPFAIL
"""Exit code after which the Job starts another pod, a limited number of times."""

QUIET_SECONDS = 600.0
"""After so long without an error of the volume the next one is the first again."""


def main() -> int:
    """Return the exit code; the reason of a failure is in the log and in the termination message."""
    logging.basicConfig(format="%(asctime)s %(message)s", level=logging.INFO, stream=sys.stdout)
    signal.signal(signal.SIGTERM, stop)
    os.umask(0o002)
    try:
        os.environ.update(connections.variables(os.environ))
        download = from_environment(os.environ)
        if problem := tell_metrics(METRICS.readings, int(os.environ.get("METRICS_PORT", PORT))):
            log.warning("Prometheus is told nothing: %s", problem)
        try:
            run(download)
        except Failed as reason:
            show(download, str(reason))
            raise
    except Failed as reason:
        log.critical("%s", reason)
        failure.write_termination_message(str(reason))
        return MAY_PASS if isinstance(reason, MayPass) else LASTING
    except Exception as error:
        log.exception("A fault of the program")
        failure.write_termination_message(f"A fault of the download's program: {error!r}. Its log has more.")
        return MAY_PASS
    return 0


def stop(number: int, _: FrameType | None) -> None:
    """End as after an error: git-lfs is stopped, leases are given back, and the next pod goes on."""
    sys.exit(128 + number)


def run(download: DownloadSettings) -> None:
    """Do what is left to do, again after errors of the volume that may pass. Raises Failed."""
    patience, began = Patience(download), time.monotonic()
    while True:
        try:
            return attempt(download)
        except OSError as error:
            if error.errno not in TRANSIENT:
                raise failure.of_the_volume(error, download.volume) from error
            if time.monotonic() - began > QUIET_SECONDS:
                patience = Patience(download)
            patience.wait(Interrupted(f"the volume at {download.volume}: {error}"))
            began = time.monotonic()


def attempt(download: DownloadSettings) -> None:
    """Do what is left to do once. Raises Failed, or OSError for the volume's own errors."""
    try:
        make_folders(download)
        marker = inventory.read(download.state / MARKER)
        if marker and is_untouched(download.directory, marker) and not download.verify_everything:
            check_identity(download, marker)
            log.info("%s is complete: commit %s, %s", download.directory, marker.commit, binary(marker.size))
            return
        files = prepare(download)
        bring(download, files)
        if download.index == 0:
            finish(download, files)
    except Interrupted as why:
        ended = Failed if why.lasting else MayPass
        raise ended(f"Git failed on {download.repository}: {why}") from why


def make_folders(download: DownloadSettings) -> None:
    """Make the model's folder, and below the volume's `cache` one for what the pods compile that serve it."""
    for folder in (download.volume / "cache", download.cache):
        if not folder.exists():
            folder.mkdir(exist_ok=True)
            folder.chmod(0o2775)
    download.state.mkdir(parents=True, exist_ok=True)


def is_untouched(directory: Path, marker: Inventory) -> bool:
    """Whether every file is there with its size, and no symbolic link leaves the folder. Reads no content."""
    return marker.is_on(directory) and not leaving(links_on_disk(directory, marker))


def check_identity(download: DownloadSettings, found: Inventory) -> None:
    """Raise Failed when the folder holds something else: what may be being served is never replaced in its place.

    The same commit of another repository, or under the name of another revision, is the same files.
    """
    same = (found.repository, found.revision) == (download.repository, download.revision)
    if not same and GitRepository(download).resolve() != found.commit:
        raise Failed(
            f"{download.directory} holds {found.revision} of {found.repository}, commit {found.commit}; "
            f"{download.revision} of {download.repository} is another commit: set deepseek:model.name, so that it gets "
            "a folder of its own, or remove that folder if nothing serves it."
        )


def prepare(download: DownloadSettings) -> Inventory:
    """Return the files of the revision. A branch is resolved once: the first inventory on the volume decides."""
    patience = Patience(download)
    with hold(download.state / "prepare.lease"):
        found = inventory.read(download.state / INVENTORY)
        if found:
            check_identity(download, found)
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

"""Put a model whose files and digests are known onto a volume: whole, verified, once on the disk.

What the source of the objects is (a bucket, a registry) its own program says, as a Source. The rest is as with Git LFS:
the marker `.git/fetch/complete.json` is written last; killed at any moment, the next run goes on; every pod of an
Indexed Job brings its share, and number 0 then goes through the other shares and finishes.
"""

import json
import logging
from pathlib import Path

import inventory
from download_metrics import METRICS
from download_settings import DownloadSettings
from failure import Failed, Interrupted, MayPass, binary
from inventory import INVENTORY, MARKER, Inventory, shares
from lease import hold
from links import check_names
from model_folder import check_identity, make_folders
from object_transfer import ObjectTransfer
from patience import Patience
from pod_shares import is_verified, record, signature
from progress import reported, tell
from source import Source

log = logging.getLogger(__name__)

INDEX = "model.safetensors.index.json"


def attempt(download: DownloadSettings, source: Source) -> None:
    """Do what is left to do once. Raises Failed, or OSError for the volume's own errors."""
    try:
        make_folders(download)
        marker = inventory.read(download.state / MARKER)
        if marker and marker.is_on(download.directory) and not download.verify_everything:
            check_identity(download, marker, source.address, source.resolve)
            log.info("%s is complete: %s, %s", download.directory, marker.commit, binary(marker.size))
            return
        files = prepare(download, source)
        bring(download, source, files)
        if download.index == 0:
            finish(download, files)
    except Interrupted as why:
        ended = Failed if why.lasting else MayPass
        raise ended(f"{source.address}: {why}") from why


def prepare(download: DownloadSettings, source: Source) -> Inventory:
    """Return the files of the revision. What it names is looked up once: the first inventory on the volume decides."""
    patience = Patience(download)
    with hold(download.state / "prepare.lease"):
        found = inventory.read(download.state / INVENTORY)
        if found:
            check_identity(download, found, source.address, source.resolve)
            return found
        while True:
            try:
                files = source.inventory()
                break
            except Interrupted as why:
                patience.wait(why)
        check_names(file.path for file in files.files)
        check_model(files)
        files.write(download.state / INVENTORY)
    tell(
        download,
        f"{download.revision} of {source.address} is {files.commit}: {len(files.files)} files, {binary(files.size)}",
    )
    return files


def check_model(files: Inventory) -> None:
    """Raise Failed before anything is downloaded for files that vLLM could not load."""
    names = {file.path for file in files.files}
    if "config.json" not in names:
        raise Failed(
            f"{files.repository} has no config.json among its files: correct deepseek:model.repository, or put the "
            "whole model there."
        )
    if not any(name.endswith(".safetensors") for name in names):
        raise Failed(f"{files.repository} has no safetensors file: weights in another form are not served.")


def bring(download: DownloadSettings, source: Source, files: Inventory) -> None:
    """Download and verify this pod's share; as number 0 then also whatever the other pods have not done."""
    divided = shares(files.large, download.pods)
    numbers = range(download.pods) if download.index == 0 else [download.index]
    mine = [file for number in numbers for file in divided[number]]
    transfer = ObjectTransfer(download, source, files)
    progress = (sum(file.size for file in mine), lambda: transfer.received(mine), lambda: transfer.verified_bytes)
    METRICS.follow(*progress)
    with reported(download, *progress):
        for number in numbers:
            with hold(download.state / f"share-{number}-of-{download.pods}.lease") as lease:
                if number == download.index or not is_verified(download, files, number):
                    transfer.bring(divided[number], lease)
                    record(download, number).write_text(signature(download, files))


def finish(download: DownloadSettings, files: Inventory) -> None:
    """See that the index names no file that is not there, and write the marker."""
    with hold(download.state / "finish.lease") as lease:
        if lacking := sorted(_named_by_index(download.directory) - {file.path for file in files.files}):
            raise Failed(
                f"{INDEX} names {lacking[0]}, which is not among the files of {files.repository} ({len(lacking)} are "
                "missing): put the whole model there."
            )
        lease.check()
        files.write(download.state / MARKER)
    log.info("%s is complete and verified: %s", download.directory, binary(files.size))


def _named_by_index(folder: Path) -> set[str]:
    try:
        return set(json.loads((folder / INDEX).read_text())["weight_map"].values())
    except FileNotFoundError:
        return set()
    except (ValueError, KeyError, TypeError, AttributeError):
        raise Failed(f"{INDEX} is no index of safetensors files: put the model's own there.") from None

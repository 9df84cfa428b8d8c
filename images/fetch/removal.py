"""Removes the revisions of a model that are no longer served, and nothing else.

    python3 -m removal

What goes are the folders beside the current one that the download made (they have a `.git/fetch` of its own) and what
an interrupted removal left. What stays: the current revision, files, links, and folders of anybody else. Without a
complete current revision nothing is removed. Environment: MODEL, the folder of the model, which is all of the volume
that the pod mounts; CURRENT, the name of the revision's folder in it; SERVED_AT, where that revision has answered.
"""

import logging
import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import failure
import inventory
from failure import Failed
from inventory import MARKER

log = logging.getLogger(__name__)

REMOVING = ".removing-"
"""How the name of a folder begins whose removal has begun; no revision's does, for Git allows none with a dot."""


def main() -> int:
    """Return the exit code; the reason of a failure is in the log and in the termination message."""
    logging.basicConfig(format="%(asctime)s %(message)s", level=logging.INFO, stream=sys.stdout)
    os.umask(0o002)
    model = Path(os.environ["MODEL"])
    log.info("%s is what answers at %s", os.environ["CURRENT"], os.environ.get("SERVED_AT"))
    try:
        remove_others(model, os.environ["CURRENT"])
    except Failed as reason:
        return _failed(reason)
    except OSError as error:
        return _failed(failure.of_the_volume(error, model))
    return 0


def _failed(reason: Failed) -> int:
    log.critical("%s", reason)
    failure.write_termination_message(str(reason))
    return 1


def remove_others(model: Path, current: str) -> None:
    """Remove every other revision. Raises Failed when the current one is not complete, OSError for the volume's own."""
    marker = inventory.read(model / current / ".git" / "fetch" / MARKER)
    if Path(current).name != current or marker is None or not marker.is_on(model / current):
        raise Failed(f"{model / current} is not a complete revision: nothing was removed. Run the download again.")
    for folder in list(others(model, current)):
        log.info("Removing %s", folder)
        shutil.rmtree(begin(folder))
    log.info("Only %s is left of the revisions in %s", current, model)


def others(model: Path, current: str) -> Iterator[Path]:
    """Yield the folders that are to go."""
    for path in sorted(model.iterdir()):
        if path.name != current and path.is_dir() and not path.is_symlink() and is_ours(path):
            yield path


def is_ours(folder: Path) -> bool:
    """Whether the download made the folder, or a removal of it has begun."""
    return folder.name.startswith(REMOVING) or (folder / ".git" / "fetch").is_dir()


def begin(folder: Path) -> Path:
    """Take the folder's name away in one step, so that half of a revision is never found under it."""
    if folder.name.startswith(REMOVING):
        return folder
    target = folder.with_name(REMOVING + folder.name)
    if target.exists():  # of the same name, removed before, and not finished
        shutil.rmtree(target)
    return folder.rename(target)


if __name__ == "__main__":
    sys.exit(main())

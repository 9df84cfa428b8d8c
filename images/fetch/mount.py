"""Ends well once it runs, because then the claim is mounted, and if this user may write there.

    python3 -m mount

Environment: VOLUME, where the claim is mounted. Which claim cannot be mounted, and why, claim.py tells.
"""

import errno
import logging
import os
import sys
import tempfile
from pathlib import Path

import failure
from failure import binary

log = logging.getLogger(__name__)


def main() -> int:
    """Return the exit code; the reason of a failure is in the log and in the termination message."""
    logging.basicConfig(format="%(asctime)s %(message)s", level=logging.INFO, stream=sys.stdout)
    volume = Path(os.environ["VOLUME"])
    try:
        check(volume)
    except OSError as error:
        reason = str(failure.of_the_volume(error, volume))
        log.critical("%s", reason)
        failure.write_termination_message(reason)
        return 1
    space = os.statvfs(volume)
    total, free = space.f_blocks * space.f_frsize, space.f_bavail * space.f_frsize
    log.info("%s is mounted and writable: %s free of %s", volume, binary(free), binary(total))
    return 0


def check(volume: Path) -> None:
    """Make and remove a file. Raises OSError; a full volume is fine, for the weights may be on it already."""
    try:
        with tempfile.NamedTemporaryFile(dir=volume, prefix=".mount-check-"):
            pass
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise


if __name__ == "__main__":
    sys.exit(main())

"""Doing an operation on a network file system again after an error that may pass."""

import errno
import logging
import time
from collections.abc import Callable
from typing import TypeVar

log = logging.getLogger(__name__)

TRANSIENT = frozenset(
    {
        errno.EAGAIN,
        errno.EBUSY,
        errno.ECONNABORTED,
        errno.ECONNREFUSED,
        errno.ECONNRESET,
        errno.EHOSTDOWN,
        errno.EHOSTUNREACH,
        errno.EINTR,
        errno.EIO,
        errno.ENETDOWN,
        errno.ENETUNREACH,
        errno.ENOTCONN,
        errno.EREMOTEIO,
        errno.ESTALE,
        errno.ETIMEDOUT,
    }
)
"""What a network file system says while its server is away or has moved, or where another pod replaced the file."""

REPETITIONS = 5
PAUSE_SECONDS = 0.5

Result = TypeVar("Result")


def repeated(operation: Callable[[], Result]) -> Result:
    """Return what an operation returns, repeated after errors that may pass. Raises the last of them."""
    for _ in range(REPETITIONS - 1):
        try:
            return operation()
        except OSError as error:
            if error.errno not in TRANSIENT:
                raise
            log.warning("%s: tried again", error)
            time.sleep(PAUSE_SECONDS)
    return operation()

"""Succeeds when an engine may be replaced: it does not serve, or enough others do. Otherwise it fails with the reason.

An engine serves when its own Service answers, which selects a head only while that has answered completions.

Environment: ENGINE (the Service of the engine), OTHERS (those of the others, separated by commas), MINIMUM_SERVING (how
many of them must serve), SECONDS (how long it waits for them). Exit code 0, 1 after a failure, 143 after SIGTERM.
"""

import os
import signal
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import NoReturn

from direct_http import NoAnswer, fetch

TERMINATION_MESSAGE = Path("/dev/termination-log")
ASK_SECONDS = 2.0
ANSWER_SECONDS = 5.0
LOOKS = 3
"""So often an engine must be found out of service before it counts as that."""


@dataclass(frozen=True)
class Turn:
    """One engine before the others, addresses of their Services."""

    engine: str
    others: Sequence[str]
    minimum_serving: int
    seconds: float

    def wait(self) -> str:
        """Return nothing when the engine may be replaced, else why not, after `seconds`."""
        end, out_of_service = time.monotonic() + self.seconds, 0
        while True:
            missing = {address: why for address in self.others if (why := why_not(address))}
            serving = len(self.others) - len(missing)
            if serving >= self.minimum_serving:
                print(f"turn: {serving} of {len(self.others)} other engines serve", flush=True)
                return ""
            out_of_service = out_of_service + 1 if why_not(self.engine) else 0
            if out_of_service >= LOOKS:
                print("turn: the engine does not serve, so nothing is lost", flush=True)
                return ""
            if time.monotonic() > end:
                return self._reason(missing)
            print(f"turn: {serving} of {self.minimum_serving} other engines serve; waiting", flush=True)
            time.sleep(ASK_SECONDS)

    def _reason(self, missing: Mapping[str, str]) -> str:
        told = "; ".join(f"{address} does not: {why}" for address, why in missing.items())
        return (
            f"{self.engine} serves and was left as it is: beside it {len(self.others) - len(missing)} other engines "
            f"serve, and rollout.minimumServing is {self.minimum_serving}. {told}. Bring it back, or set "
            "rollout.minimumServing lower for this change."
        )


def why_not(address: str) -> str:
    """Return why an engine does not serve, nothing if it does."""
    try:
        fetch("GET", f"{address}/health", timeout=ANSWER_SECONDS)
    except NoAnswer as error:
        return str(error)
    return ""


def from_environment(env: Mapping[str, str]) -> Turn:
    """Return the wait that the environment asks for."""
    return Turn(env["ENGINE"], env["OTHERS"].split(","), int(env["MINIMUM_SERVING"]), float(env["SECONDS"]))


def _terminate(_signal: int, _frame: FrameType | None) -> NoReturn:
    sys.exit(128 + signal.SIGTERM)


def main() -> None:
    """Wait; a failure's reason goes to standard output and to the termination message."""
    signal.signal(signal.SIGTERM, _terminate)
    if reason := from_environment(os.environ).wait():
        print(f"turn: {reason}", flush=True)
        TERMINATION_MESSAGE.write_text(reason)
        sys.exit(1)


if __name__ == "__main__":
    main()

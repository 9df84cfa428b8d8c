"""The readiness probe of the Ray head: exit code 0 while the model answers on port 8000 of this pod, otherwise 1.

It asks for a one-token completion. A busy engine answers late and must not lose its endpoint: an answer that does not
come in time is forgiven as long as the engine has shown life within the last minute (liveness.py). No server, or one
that refuses, is unready at once. It ends by itself within 9 seconds, so that probes do not pile up.

Environment: SERVED_MODEL, API_KEY_FILE (optional).
"""

import json
import os
import signal
import sys
import time
from dataclasses import asdict
from pathlib import Path

from completion import Model
from liveness import Life, probe

ENDPOINT = "http://localhost:8000"  # of the family that vLLM listens on
STATE = Path("/tmp/readiness.json")  # noqa: S108  the container's own
SILENCE_SECONDS = 60.0
TIMEOUT_SECONDS = 4.0
LIMIT_SECONDS = 9


def check(model: Model, state: Path, now: float, timeout: float = TIMEOUT_SECONDS) -> str:
    """Return why the model is not ready, nothing when it is; `state` keeps the last sign of life between probes.

    `now` is in seconds since the epoch.
    """
    answer, metrics = probe(model, timeout)
    life = _read(state)
    if not answer.completed and not (life and answer.busy):
        state.unlink(missing_ok=True)
        return answer.problem
    life = (life or Life(now)).after(answer, metrics, now)
    _write(state, life)
    silence = life.silent_for(now)
    return "" if silence < SILENCE_SECONDS else f"no token for {silence:.0f} s: {answer.problem}"


def _read(state: Path) -> Life | None:
    try:
        return Life(**json.loads(state.read_text()))
    except (OSError, ValueError, TypeError):
        return None


def _write(state: Path, life: Life) -> None:
    fresh = state.with_suffix(f".{os.getpid()}")
    fresh.write_text(json.dumps(asdict(life)))
    fresh.replace(state)


def main() -> None:
    """Probe once."""
    signal.alarm(LIMIT_SECONDS)
    model = Model(ENDPOINT, os.environ["SERVED_MODEL"], os.environ.get("API_KEY_FILE", ""))
    if problem := check(model, STATE, time.time()):
        sys.exit(f"{model.name} is not ready: {problem}")


if __name__ == "__main__":
    main()

"""The readiness probe of the Ray head: exit code 0 while the model answers on port 8000 of this pod, otherwise 1.

It asks for a one-token completion. The first users should not wait for kernels to be compiled: the model becomes ready
when it has generated as many tokens as the supervisor's warm-up load has (warm_load.py). After two minutes it is ready
all the same, because a warm-up that fails must not keep it from serving.

A busy engine answers late and must not lose its endpoint: an answer that does not come in time is forgiven as long as
the engine has shown life within the last minute (liveness.py). No server, or one that refuses, is unready at once. The
probe ends by itself within 9 seconds, so that probes do not pile up.

Environment: SERVED_MODEL, API_KEY_FILE (optional), ON_GPUS (`1` where vLLM runs on GPUs).
"""

import json
import os
import signal
import sys
import time
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import warm_load
from completion import Model
from liveness import Life, probe

ENDPOINT = "http://localhost:8000"  # of the family that vLLM listens on
STATE = Path("/tmp/readiness.json")  # noqa: S108  the container's own
SILENCE_SECONDS = 60.0
TIMEOUT_SECONDS = 4.0
LIMIT_SECONDS = 9


@dataclass(frozen=True)
class Seen:
    """What is known from one probe to the next. Times are in seconds since the epoch."""

    life: Life
    since: float
    """When this server first answered."""

    warm: bool = False


def check(model: Model, state: Path, now: float, *, warm_tokens: int, timeout: float = TIMEOUT_SECONDS) -> str:
    """Return why the model is not ready, nothing when it is; `state` keeps what was seen between probes.

    It is warm when it has generated `warm_tokens`. `now` is in seconds since the epoch.
    """
    answer, metrics = probe(model, timeout)
    seen = _read(state)
    if not answer.completed and not (seen and answer.busy):
        state.unlink(missing_ok=True)
        return answer.problem
    seen = seen or Seen(Life(now), now)
    life = seen.life.after(answer, metrics, now)
    tokens, waited = life.tokens or 0, now - seen.since
    seen = replace(seen, life=life, warm=seen.warm or tokens >= warm_tokens or waited >= warm_load.SECONDS)
    _write(state, seen)
    if not seen.warm:
        return f"it warms up: {tokens:.0f} of {warm_tokens} tokens, at most {warm_load.SECONDS - waited:.0f} s more"
    silence = life.silent_for(now)
    return "" if silence < SILENCE_SECONDS else f"no token for {silence:.0f} s: {answer.problem}"


def _read(state: Path) -> Seen | None:
    try:
        kept = json.loads(state.read_text())
        return Seen(Life(**kept["life"]), kept["since"], kept["warm"])
    except (OSError, ValueError, TypeError, LookupError):
        return None


def _write(state: Path, seen: Seen) -> None:
    fresh = state.with_suffix(f".{os.getpid()}")
    fresh.write_text(json.dumps(asdict(seen)))
    fresh.replace(state)


def main() -> None:
    """Probe once."""
    signal.alarm(LIMIT_SECONDS)
    model = Model(ENDPOINT, os.environ["SERVED_MODEL"], os.environ.get("API_KEY_FILE", ""))
    load = warm_load.ON_GPUS if os.environ.get("ON_GPUS") else warm_load.ON_CPUS
    if problem := check(model, STATE, time.time(), warm_tokens=load.tokens):
        sys.exit(f"{model.name} is not ready: {problem}")


if __name__ == "__main__":
    main()

"""What a Ray pod of one of several engines does before it ends (preStop): it lets its engine finish the answers.

Whoever evicts or deletes the pod has told the API server. The supervisor sees it there, tells the proxies to send no
more requests, waits for the answers under way at most `rollout.drainTimeout`, and stops vLLM. So this program waits
until nothing listens where vLLM was. While the supervisor says `drain` it goes on waiting; one that has not said so for
a minute is not going to drain anything. The kubelet ends the pod when its grace period is over.

Environment: SUPERVISOR (its host), AGENT_PORT, FQ_RAY_IP (the head's host; KubeRay sets it in workers).
"""

import contextlib
import os
import socket
import time
from dataclasses import dataclass

VLLM_PORT = 8000
PATIENCE_SECONDS = 60.0
"""For a supervisor that looks every few seconds, or whose next pod is about to start on another node."""

POLL_SECONDS = 1.0
TIMEOUT_SECONDS = 3.0
DRAIN = b"drain"


@dataclass(frozen=True)
class Engine:
    """Where vLLM listens, and where its supervisor tells whether it takes requests."""

    vllm: tuple[str, int]
    supervisor: tuple[str, int]


def wait_until_stopped(engine: Engine, patience: float = PATIENCE_SECONDS) -> str:
    """Return why the pod may end."""
    heard = time.monotonic()
    while _listens(engine.vllm):
        now = time.monotonic()
        if _is_draining(engine.supervisor):
            heard = now
        elif now - heard > patience:
            return f"vLLM still runs, and no supervisor has drained it for {patience:.0f} s"
        time.sleep(POLL_SECONDS)
    return "vLLM does not run"


def _listens(address: tuple[str, int]) -> bool:
    try:
        socket.create_connection(address, TIMEOUT_SECONDS).close()
    except OSError:
        return False
    return True


def _is_draining(address: tuple[str, int]) -> bool:
    with contextlib.suppress(OSError), socket.create_connection(address, TIMEOUT_SECONDS) as agent:
        return agent.recv(len(DRAIN)) == DRAIN
    return False


def main() -> None:
    """Wait, and say why the wait is over."""
    head = os.environ.get("FQ_RAY_IP") or "localhost"
    supervisor = os.environ["SUPERVISOR"], int(os.environ["AGENT_PORT"])
    print(wait_until_stopped(Engine((head, VLLM_PORT), supervisor)))


if __name__ == "__main__":
    main()

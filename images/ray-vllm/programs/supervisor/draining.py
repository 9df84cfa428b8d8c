"""Lets vLLM finish its requests before it is stopped, within a bound."""

import time

from completion import sum_of
from direct_http import NoAnswer, fetch
from door_agent import DoorAgent
from supervisor_log import say

RUNNING, WAITING = "vllm:num_requests_running", "vllm:num_requests_waiting"
"""Source: vLLM 0.32, docs/usage/metrics.md."""

POLL_SECONDS = 1.0
NOTICE_SECONDS = 3.0
"""Until every proxy has asked, and what it had sent by then is counted."""

TIMEOUT_SECONDS = 5.0
LOST_SECONDS = 15.0
"""With a server that says nothing. One that takes no connection is gone at once."""

IDLE_LOOKS = 2
"""In a row: a request that has just arrived is not counted yet."""


class _Gone(Exception):
    """Nothing listens where vLLM was."""


def drain(endpoint: str, seconds: float, agent: DoorAgent | None) -> None:
    """Return when vLLM at `endpoint` has no request left, or has had so many seconds.

    The agent tells the proxies first. Without proxies nobody keeps clients from sending more, and it may take all of
    the time.
    """
    began = answered_at = time.monotonic()
    if agent:
        agent.drain()
    notice = NOTICE_SECONDS if agent and agent.is_asked else 0.0
    idle, requests, told = 0, 0, False
    while idle < IDLE_LOOKS and time.monotonic() - began < seconds:
        try:
            found = _requests(endpoint)
        except _Gone:
            return
        now = time.monotonic()
        if found is not None:
            answered_at, requests = now, found
        elif now - answered_at > LOST_SECONDS:
            break
        if not told:
            say("draining", requests=requests, bound=int(seconds))
            told = True
        idle = idle + 1 if found == 0 and now - began >= notice else 0
        time.sleep(POLL_SECONDS)
    say("drained", requests=requests, after=int(time.monotonic() - began))


def _requests(endpoint: str) -> int | None:
    """Return how many requests vLLM computes or has waiting; None where it does not say. Raises _Gone."""
    try:
        metrics = fetch("GET", f"{endpoint}/metrics", timeout=TIMEOUT_SECONDS)
    except NoAnswer as error:
        if error.status or error.timed_out or error.closed:
            return None
        raise _Gone from None
    counts = sum_of(metrics, RUNNING), sum_of(metrics, WAITING)
    return None if None in counts else int(sum(count or 0 for count in counts))

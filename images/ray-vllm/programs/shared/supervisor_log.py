"""The lines with which the supervisor says what happens, in one place for who writes them and who reads them.

    supervisor: failed kind=exit same=2 after=31 retry_in=20 reason="vllm serve: error: unrecognized arguments: --nope"

One event a line, durations in seconds. The output of vLLM runs between them and has no such prefix. The events:

    started      submission, command
    waiting      nodes=1/4, gpus=8/32, after, missing           every 15 s until all Ray nodes are there
    joined       nodes, gpus, after
    gpus_differ  reason                                          more GPUs than planned, or another product
    proving      job                                             the network proof has begun
    network      measured, reason                                its result, and what is wrong
    network_error  reason                                        devices for RDMA are there, and NCCL uses sockets
    result_lost  reason                                          the result could not be written into its ConfigMap
    submitted    attempt, job
    took_over    attempt, job                                    vLLM was running already
    loading      job, after, answer                              every minute until it serves
    warmed_up    requests, failed, took, reason                  the load of warm_load.py, before it serves
    serving      job, after, answer                              a chat completion had text, and it is warm
    kv_cache     planned, tokens                                 the cache is not as large as planned
    unanswered   job, after, reason                              every minute while questions get no answer
    failed       kind, same, after, retry_in, reason             kinds: failure_history; `same`: times in a row
    gpu_errors   node, same, reason                              CUDA errors on one node, three times in a row or more
    hopeless     same, reason                                    with the third of the same failures and all after
    draining     requests, bound;  drained  requests, after      before its end: those that vLLM finishes, that are left
    leaving      pods                                            Ray pods are evicted or deleted: vLLM is drained
    still_there  pods, after                                     those pods have not gone in time
    stopping     job, reason;  still_running  job, reason;  stop_unknown  reason
    stopped      reason;  left  reason                           after SIGTERM, the last line
    no_metrics   reason                                          Prometheus is told nothing
    event_lost   reason                                          an Event on the Job could not be made
"""

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass

PREFIX = "supervisor: "
VALUE_CHARACTERS = 1500
_BARE = re.compile(r"[\w./:-]+")
_FIELD = re.compile(r'(\w+)=("(?:[^"\\]|\\.)*"|\S+)')


@dataclass(frozen=True)
class Event:
    """One line: what happened, and its details as text."""

    name: str
    fields: dict[str, str]

    def number(self, field: str) -> int:
        """Return the value of a field that counts something; 0 when the event does not have it."""
        value = self.fields.get(field, "")
        return int(value) if value.isdecimal() else 0


def say(event: str, **fields: str | int) -> None:
    """Write one event to standard output."""
    print(formatted(event, **fields), flush=True)


def formatted(event: str, **fields: str | int) -> str:
    """Return the line for an event."""
    return PREFIX + " ".join([event, *(f"{name}={_quoted(str(value))}" for name, value in fields.items())])


def parse(line: str) -> Event | None:
    """Return the event that a line tells; None for a line of another program."""
    if not line.startswith(PREFIX):
        return None
    name, _, rest = line.removeprefix(PREFIX).strip().partition(" ")
    fields: list[tuple[str, str]] = _FIELD.findall(rest)
    return Event(name, {key: _unquoted(value) for key, value in fields})


def events(log: str) -> Iterable[Event]:
    """Return the events of a log, oldest first."""
    return (event for line in log.splitlines() if (event := parse(line)))


def _quoted(value: str) -> str:
    short = value if len(value) <= VALUE_CHARACTERS else value[: VALUE_CHARACTERS - 1] + "…"
    return short if _BARE.fullmatch(short) else json.dumps(short, ensure_ascii=False)


def _unquoted(value: str) -> str:
    return str(json.loads(value, strict=False)) if value.startswith('"') else value

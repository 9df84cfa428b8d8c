"""Succeeds when the model has answered a completion with text; otherwise fails in a bounded time, with the reason.

It runs as a Kubernetes Job beside the supervisor, so that `pulumi up` sees success or failure. It asks through the
Service every 5 s, and looks every 15 s at RayCluster, pods, warnings and the supervisor's log. It gives up after
TIMEOUT_SECONDS, and after JOIN_TIMEOUT_SECONDS when the Ray nodes have not joined by then. It gives up earlier when:

- vLLM has ended twice for the same reason, answers without text, refuses the question or did not serve in time;
- an image cannot be pulled for 5 minutes, pods cannot be created, or nothing reacts to the RayCluster;
- the network is below the minimum, or the pods have devices for RDMA and do not use them.

With several engines it asks one through the Service of its own, and then once more where clients come.

After the answer it fails where tool calls or reasoning are asked for and do not come back in their fields.

The reason goes to the termination message, the most telling part first.

While RayCluster, serving Job or pods are suspended (Kueue, or another that sets spec.suspend or a scheduling gate), it
says by whom, no time counts, and it moves the bound of its own Job. Of an engine that is parked when it begins,
RayCluster and serving Job suspended by somebody and no queue, it asks nothing and succeeds.

Environment: ENDPOINT (the Service), SERVED_MODEL, API_KEY_FILE (optional), SERVING_JOB, RAY_CLUSTER, RAY_NODES,
GPUS_PER_NODE, POD_NAMESPACE, TIMEOUT_SECONDS, JOIN_TIMEOUT_SECONDS (optional), GATE_JOB (optional: the name of its own
Job), DOOR (optional: where clients come, if ENDPOINT is another Service), TOOL_CALLS and REASONING (optional, `true`:
chat_form.py checks the form of such answers). Its service account lists pods and events in its namespace and creates
events, gets pods/log, SERVING_JOB and RAY_CLUSTER, gets and patches GATE_JOB. Exit code 0, 1 after a failure, 143 after
SIGTERM.
"""

import os
import signal
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from types import FrameType
from typing import NoReturn

import chat_form
import network_story
from cluster_state import Reader, State
from completion import QUESTION, QUESTION_TOKENS, Answer, Model
from diagnosis import Finding, findings, have_joined, missing_gpus, progress, told
from own_deadline import OwnDeadline
from planned_nodes import PlannedNodes
from refusals import Refusals
from serving_events import NETWORK_PROBLEM, SUSPENDED, tell
from supervisor_log import Event
from suspension import Stopwatch, is_parked, suspended_by

TERMINATION_MESSAGE = Path("/dev/termination-log")
TERMINATION_BYTES = 4096
ASK_SECONDS = 5.0
LOOK_SECONDS = 15.0
REPEAT_SECONDS = 60.0  # after which a line that has not changed is said again
ANSWER_SECONDS = 60.0
DOOR_SECONDS = 60.0  # the proxies look each second whether an engine takes connections
USELESS_REPETITIONS = 2
USELESS_KINDS = ("empty", "load", "network", "refused")


class Gate:
    """Waits for the answer of one model, at most `timeout` seconds."""

    def __init__(
        self,
        model: Model,
        planned: PlannedNodes,
        reader: Reader,
        *,
        join_timeout: float,
        timeout: float,
        own_job: str = "",
    ) -> None:
        self._model, self._planned, self._reader = model, planned, reader
        self._join_timeout, self._timeout = join_timeout, timeout
        self._own_job, self._deadline = own_job, OwnDeadline(own_job)
        self._stopwatch, self._suspended_by = Stopwatch(), ""
        self._patience = Patience()
        self._refusals = Refusals()
        self._said, self._said_at = "", 0.0
        self._network_problem = ""

    def tells_that_it_is_parked(self) -> bool:
        """Return whether somebody has parked the engine, and tell it: then nobody can answer, on purpose."""
        state = self._reader.look(0)
        if not (state.cluster and state.job and is_parked(state.cluster) and is_parked(state.job)):
            return False
        text = f"engine {state.cluster['metadata']['name']} is parked (spec.suspend): it was not asked"
        self._say(text)
        tell(self._own_job, SUSPENDED, text, by="gate")
        return True

    def wait(self) -> str:
        """Print the answer and return nothing; or return why there is none."""
        next_look = 0.0
        while True:
            answer = self._model.ask(QUESTION, QUESTION_TOKENS, ANSWER_SECONDS)
            self._refusals.note(answer)
            if answer.text:
                self._say(f"{self._model.name} answered: {answer.text}")
                return ""
            if time.monotonic() >= next_look:
                next_look = time.monotonic() + LOOK_SECONDS
                state = self._reader.look(int(self._stopwatch.total))
                found = [] if self._is_suspended(state) else findings(state, self._planned, self._join_timeout)
                self._say("; ".join([*self._suspension(), progress(state, self._planned), *told(found)[:2]]))
                self._tell_of_network(network_story.problem(state.story))
                if verdict := self._verdict(state, found):
                    return self._reason(verdict, state, found, answer)
            time.sleep(ASK_SECONDS)

    def _reason(self, verdict: str, state: State, found: Sequence[Finding], answer: Answer) -> str:
        causes = [text for text in (missing_gpus(state, self._planned), verdict) if text]
        lines = [f"{self._model.name} is not served: {': '.join(causes)}", progress(state, self._planned)]
        lines += [f"- {text}" for text in told(found) if text not in verdict]
        if network := network_story.measured(state.story):
            lines.append(f"- network: {network}")
        if self._stopwatch.stopped:
            lines.append(f"- suspended for {self._stopwatch.stopped:.0f} s, which do not count")
        lines.append(f"{self._model.endpoint}: {answer.problem}")
        return clip("\n".join(lines), TERMINATION_BYTES)

    def _is_suspended(self, state: State) -> bool:
        """Tell whether the time does not count now, and see to it that it does not."""
        by = suspended_by((("RayCluster", state.cluster), ("Job", state.job)), state.pods)
        self._stopwatch.stop(stopped=bool(by))
        if by and by != self._suspended_by:
            tell(self._own_job, SUSPENDED, f"{by}; waiting until it goes on", by="gate")
        self._suspended_by = by
        if by and (problem := self._deadline.move(self._stopwatch.stopped)):
            self._say(problem)
        return bool(by)

    def _tell_of_network(self, problem: str) -> None:
        """Say in `up`, hours before the model has loaded, what the network proof found."""
        if problem and problem != self._network_problem:
            tell(self._own_job, NETWORK_PROBLEM, problem, by="gate")
            self._network_problem = problem

    def _suspension(self) -> list[str]:
        return [self._suspended_by] if self._suspended_by else []

    def _verdict(self, state: State, found: Sequence[Finding]) -> str:
        """Return why it is time to give up, nothing as long as it is not."""
        elapsed = self._stopwatch.counted
        if self._suspended_by:
            self._patience = Patience()
            return ""
        if elapsed > self._timeout:
            return f"no answer within {self._timeout:.0f} s (scheduling.joinTimeout and serving.loadTimeout)"
        if elapsed > self._join_timeout and not have_joined(state.story):
            return f"the Ray nodes have not joined within {self._join_timeout:.0f} s (scheduling.joinTimeout)"
        if error := network_story.error(state.story):
            return f"{error}; it is loaded all the same, and slow"
        over = self._patience.over(found, time.monotonic())
        if why := useless(state.story, self._stopwatch.total) or self._refusals.final or over:
            return f"gave up after {elapsed:.0f} s: {why}"
        return ""

    def _say(self, text: str) -> None:
        now = time.monotonic()
        if text != self._said or now - self._said_at >= REPEAT_SECONDS:
            self._said, self._said_at = text, now
            print(f"gate: {self._stopwatch.total:.0f} s: {text}", flush=True)


class Patience:
    """Knows since when each finding has lasted without a break."""

    def __init__(self) -> None:
        self._since: dict[str, float] = {}

    def over(self, found: Sequence[Finding], now: float) -> str:
        """Return the text of the first finding that has lasted longer than its patience, nothing if none has."""
        self._since = {finding.about: self._since.get(finding.about, now) for finding in found}
        over = told(finding for finding in found if now - self._since[finding.about] >= finding.patience)
        return over[0] if over else ""


def useless(story: Sequence[Event], elapsed: float) -> str:
    """Return why further attempts will not help, nothing if they may, by those begun in the last `elapsed` seconds."""
    failed = [event for event in story if event.name == "failed" and event.number("after") <= elapsed]
    if not failed:
        return ""
    last = failed[-1]
    again = min(last.number("same"), len(failed)) >= USELESS_REPETITIONS and last.fields.get("kind") == "exit"
    return last.fields.get("reason", "") if again or last.fields.get("kind") in USELESS_KINDS else ""


def clip(text: str, most_bytes: int) -> str:
    """Cut a text to so many bytes of UTF-8."""
    data = text.encode()
    return text if len(data) <= most_bytes else data[: most_bytes - 3].decode(errors="ignore") + "…"


def from_environment(env: Mapping[str, str]) -> Gate:
    """Return the gate that the environment asks for."""
    timeout = float(env["TIMEOUT_SECONDS"])
    return Gate(
        model=_model(env),
        planned=PlannedNodes.read(env),
        reader=Reader(env["POD_NAMESPACE"], env["RAY_CLUSTER"], env["SERVING_JOB"]),
        join_timeout=float(env.get("JOIN_TIMEOUT_SECONDS", timeout)),
        timeout=timeout,
        own_job=env.get("GATE_JOB", ""),
    )


def _model(env: Mapping[str, str]) -> Model:
    return Model(env["ENDPOINT"].rstrip("/"), env["SERVED_MODEL"], env.get("API_KEY_FILE", ""))


def _closed_door(env: Mapping[str, str]) -> str:
    """Return why there is no answer where clients come, nothing if there is one within DOOR_SECONDS."""
    if "DOOR" not in env:
        return ""
    door, end = replace(_model(env), endpoint=env["DOOR"].rstrip("/")), time.monotonic() + DOOR_SECONDS
    while True:
        answer = door.ask(QUESTION, QUESTION_TOKENS, ANSWER_SECONDS)
        if answer.text:
            return ""
        if time.monotonic() >= end:
            where = f"{env['ENDPOINT']}, and not where clients come, {door.endpoint}"
            return f"{door.name} answers at {where}: {answer.problem}"
        time.sleep(ASK_SECONDS)


def run(env: Mapping[str, str]) -> str:
    """Wait for the answer, then check forms; return why it is not served as the stack file says, or nothing."""
    gate = from_environment(env)
    if gate.tells_that_it_is_parked():
        return ""
    reason = gate.wait() or _closed_door(env)
    return clip(reason or chat_form.broken_promises(_model(env), chat_form.asked_for(env)), TERMINATION_BYTES)


def _terminate(_signal: int, _frame: FrameType | None) -> NoReturn:
    sys.exit(128 + signal.SIGTERM)


def main() -> None:
    """Wait; a failure's reason goes to standard output and to the termination message."""
    signal.signal(signal.SIGTERM, _terminate)
    if reason := run(os.environ):
        print(f"gate: {reason}", flush=True)
        TERMINATION_MESSAGE.write_text(reason)
        sys.exit(1)


if __name__ == "__main__":
    main()

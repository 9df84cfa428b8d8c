"""Follows a running vLLM until it ends or has to be ended: its output, its Ray job, the Ray nodes, its answers."""

import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

import warm_load
from completion import Model
from direct_http import NoAnswer
from engine_watch import EngineWatch
from failure_history import Failed
from joining import compare
from last_words import last_words, named_errors
from log_follower import LogFollower
from own_job import Bounds
from planned_nodes import PlannedNodes
from ray_api import Job, RayApi
from supervisor_log import say
from vllm_job import stop_if_reachable
from warm_up import WarmUp

SERVING_FILE = Path("/tmp/serving")  # noqa: S108  the container's own; its readiness probe looks for it
POLL_SECONDS = 2.0
REPORT_SECONDS = 60.0
NODES_SECONDS = 15.0  # between two looks at the Ray nodes
PATIENCE_SECONDS = 60.0  # with a head that does not answer, and with a node that is gone while vLLM has not noticed
ENGINE_SECONDS = 30.0  # for a vLLM whose engine has ended to end too
LINGER_SECONDS = 3.0  # for the last lines of a log
MOST_EMPTY_ANSWERS = 5


class Following:
    """One vLLM. When it has first answered with text and is warm, a file and a line in the log declare it serving.

    From then on it has `served`. A warm-up that fails is told, and the model serves.
    """

    def __init__(
        self, ray: RayApi, job: Job, log: LogFollower, model: Model, planned: PlannedNodes, bounds: Bounds
    ) -> None:
        self._ray, self._job, self._log, self._planned, self._bounds = ray, job, log, planned, bounds
        self._model = model
        self._warm_up: WarmUp | None = None
        self._watch = EngineWatch(model, log.engine, bounds.hang)
        self._head_answered = self._nodes_complete = self._nodes_looked_at = self._reported = time.monotonic()
        self._engine_errors = ""
        self.served = False

    def until_end(self, announce: Callable[[], None], look_at_pods: Callable[[], None]) -> NoReturn:
        """Raise `Failed` with the reason when this vLLM does not serve any more; by then it has ended or is stopped.

        `announce` is called when it begins to serve, `look_at_pods` every two seconds. What that one raises leaves vLLM
        running.
        """
        try:
            while True:
                time.sleep(POLL_SECONDS)
                look_at_pods()
                if self._head_knows_job():
                    self._check_engines()
                    self._check_nodes()
                    self._check_answers(announce)
        finally:
            SERVING_FILE.unlink(missing_ok=True)
            self._watch.close()
            self._log.close()

    def silent_for(self) -> float:
        """Return for how many seconds questions have had no answer and nothing has shown life."""
        return self._watch.silent_for()

    def _head_knows_job(self) -> bool:
        """Tell whether the head answers and the job runs; raise `Failed` when that has ended or the head is lost."""
        try:
            job = self._ray.job(self._job.submission_id)
        except NoAnswer as error:
            if time.monotonic() - self._head_answered > PATIENCE_SECONDS:
                raise Failed("lost", f"the Ray head has not answered for {PATIENCE_SECONDS:.0f} s: {error}") from None
            return False
        self._head_answered = time.monotonic()
        if job is None:
            raise Failed("lost", "the Ray head does not know the job any more: it was restarted")
        if not job.running:
            raise _end_of(job, self._log)
        return True

    def _check_engines(self) -> None:
        """Stop a vLLM that goes on without one of its engines.

        With data parallelism by Ray it does where an engine ends by an error, its own or that of a rank: it watches for
        engines that are killed, and `/health` stays green (vLLM 0.32, `monitor_engine_liveness` in v1/engine/utils.py).
        """
        ended_at = self._log.engine.ended_at
        if ended_at is None:
            return
        self._engine_errors = self._engine_errors or named_errors(self._log.lines())
        if time.monotonic() - ended_at > ENGINE_SECONDS:
            self._stop(Failed("exit", f"an engine has ended, and vLLM goes on without it: {self._engine_errors}"))

    def _check_nodes(self) -> None:
        """Stop a vLLM that lacks a node and has not noticed: in a load or a collective it would wait for ever.

        A head that does not answer says nothing about its nodes, and a vLLM that shows life lacks none.
        """
        now = time.monotonic()
        if now - self._nodes_looked_at < NODES_SECONDS:
            return
        self._nodes_looked_at = now
        try:
            missing = compare(self._ray.nodes(), self._planned).missing
        except NoAnswer:
            return
        if not missing:
            self._nodes_complete = now
        elif now - max(self._nodes_complete, self._watch.alive_at) > PATIENCE_SECONDS:
            self._stop(Failed("nodes", f"vLLM cannot go on: {missing}"))

    def _check_answers(self, announce: Callable[[], None]) -> None:
        watch, age = self._watch, time.time() - self._job.started
        if self.served:
            if silence := watch.hung_for():
                self._stop(Failed("hung", f"no token for {silence:.0f} s: {watch.problem}"))
            if watch.problem and self._is_time_to_report():
                say("unanswered", job=self._job.submission_id, after=int(age), reason=watch.problem)
        elif watch.first_answer:
            if self._is_warm():
                self.served = True
                SERVING_FILE.touch()
                say("serving", job=self._job.submission_id, after=int(age), answer=watch.first_answer)
                announce()
        elif watch.empty_answers >= MOST_EMPTY_ANSWERS:
            self._stop(Failed("empty", f"{watch.empty_answers} completions without text: damaged weights?"))
        elif refused := watch.refusals.final:
            self._stop(Failed("refused", refused))
        elif age > self._bounds.load and watch.silent_for() > min(self._bounds.load, self._bounds.hang):
            # One that was taken over may have served for days: it is asked before it is judged by its age.
            last = self._log.lines()[-1:]
            self._stop(Failed("load", f"not serving {age:.0f} s after its start ({watch.problem}): {last_words(last)}"))
        elif self._is_time_to_report():
            say("loading", job=self._job.submission_id, after=int(age), answer=watch.problem)

    def _is_warm(self) -> bool:
        if not self._warm_up:
            load = warm_load.ON_GPUS if self._planned.product else warm_load.ON_CPUS
            self._warm_up = WarmUp(self._model, load)
        done = self._warm_up
        if not done.over:
            return False
        told = {"reason": done.problems[0]} if done.problems else {}
        say("warmed_up", requests=done.requests, failed=len(done.problems), took=int(done.took), **told)
        return True

    def _is_time_to_report(self) -> bool:
        due = time.monotonic() - self._reported > REPORT_SECONDS
        if due:
            self._reported = time.monotonic()
        return due

    def _stop(self, failure: Failed) -> NoReturn:
        stop_if_reachable(self._ray, self._job, failure.reason)
        raise failure


def _end_of(job: Job, log: LogFollower) -> Failed:
    log.close(LINGER_SECONDS)
    if job.status == "STOPPED":
        return Failed("stopped", "the Ray job was stopped, and not by this supervisor")
    if job.exit_code is not None and job.exit_code < 0:
        return Failed("exit", _killed(signal.Signals(-job.exit_code), named_errors(log.lines())))
    code = "" if job.exit_code is None else f" with exit code {job.exit_code}"
    return Failed("exit", f"vLLM ended{code}: {last_words(log.lines()) or job.message}")


def _killed(by: signal.Signals, errors: str) -> str:
    why = errors or ("by somebody, or for want of memory" if by is signal.SIGKILL else "it named no error")
    return f"vLLM was ended by {by.name}: {why}"

"""Keeps `vllm serve` running as a job of a Ray cluster, and says in its log what happens (the lines of supervisor_log).

It waits for the planned Ray nodes, has the network between them proven (network_check.py), submits vLLM, follows its
output, and calls it serving once it has answered a chat completion with text and a warm-up load (warm_load.py);
/tmp/serving exists as long as that holds. It never ends by itself: every end of vLLM that was not asked for is a
failure, reported with its reason and tried again after a growing delay. A vLLM that already runs for the same
configuration is taken over; one for another configuration is stopped first.

On SIGTERM it tells the proxies to send no more requests (door_agent.py), lets vLLM finish those that it has within a
bound (draining.py), stops it, waits at most 60 s until that has ended, and exits with 143: an exit code 0 would
complete its Kubernetes Job. It leaves vLLM running when only its pod has to go and the Job will start another one.

Environment: RAY_JOBS_ADDRESS, RAY_AUTH_TOKEN (optional), RAY_NODES, GPUS_PER_NODE, GPU_PRODUCT (empty on CPUs),
VLLM_ARGUMENTS (a JSON list: what follows `vllm`), VLLM_ENVIRONMENT (optional, a JSON object), SUBMISSION_ID, ENDPOINT,
SERVED_MODEL, API_KEY_FILE (optional), HANG_TIMEOUT_SECONDS (optional, 180), METRICS_PORT (optional, 8001: where a
Prometheus asks), AGENT_PORT (optional: where proxies ask), PLANNED_KV_CACHE_TOKENS (optional), NETWORK_LAYOUT (what the
network proof measures; nothing if it is empty), RDMA_RESOURCES (optional: the devices that the Ray pods have),
SERVING_JOB (optional: the name of its Kubernetes Job, which its service account may get), with it JOB_UID,
POD_NAMESPACE and NETWORK_RESULT (a ConfigMap that its service account may patch). With SERVING_JOB it also makes an
Event on that Job when the network was proven, when vLLM has failed and when it serves, and asks for the pods of Ray
where CUDA errors end vLLM. Of several engines it has RAY_CLUSTER, and looks whether a pod of that RayCluster has been
told to go: then it drains and stops vLLM, and serves again when the pod is back (leaving_pods.py). How long nodes may
take to join, the model to load and answers to end, and the least bandwidth, the Job's annotations say (own_job.py), at
the beginning of each attempt and at SIGTERM;
JOIN_TIMEOUT_SECONDS, LOAD_TIMEOUT_SECONDS and DRAIN_TIMEOUT_SECONDS (1800, 7200, 0) hold where they say nothing.
"""

import functools
import json
import os
import shlex
import signal
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import FrameType
from typing import NoReturn

from completion import Model
from direct_http import NoAnswer
from door_agent import DoorAgent
from draining import drain
from failing_node import FailingNode
from failure_history import HOPELESS_REPETITIONS, Failed, FailureHistory
from following import SERVING_FILE, Following
from joining import wait_for_nodes
from leaving_pods import Leaving, LeavingPods
from log_follower import RECENT_LINES, WHOLE_LOG, LogFollower
from metrics import PORT, tell_metrics
from network_check import NetworkCheck
from own_job import Bounds, bounds_now, is_first_pod, will_start_another_pod
from planned_nodes import PlannedNodes
from ray_api import Job, RayApi
from serving_events import FAILED, KV_CACHE_DIFFERS, LEAVING, SERVING, tell
from supervisor_log import say
from supervisor_metrics import SupervisorMetrics
from vllm_job import VllmJobs

HEAD_SECONDS = 15.0  # to reach the head in when vLLM is to be stopped
HOST = "--host=$SERVE_ON"
"""The one argument that the shell of the head's pod completes: there ray_pod.py knows the family of the address."""

KV_CACHE_TOLERANCE = 0.01
EXIT_CODE_ON_SIGTERM = 128 + signal.SIGTERM


class Terminated(BaseException):
    """SIGTERM has come."""


@dataclass(frozen=True)
class Settings:
    """What the environment asks for; times in seconds."""

    ray: RayApi
    model: Model
    planned_nodes: PlannedNodes
    jobs: VllmJobs
    bounds: Bounds
    serving_job: str
    network: NetworkCheck
    leaving: LeavingPods
    planned_kv_cache_tokens: int
    """0 where there is no plan of it."""

    metrics_port: int
    agent_port: int | None
    """Where proxies ask whether vLLM takes requests."""

    @staticmethod
    def read(env: Mapping[str, str]) -> "Settings":
        """Return the settings; raise KeyError for a variable that is not set, ValueError for one that is no number."""
        ray = RayApi(env["RAY_JOBS_ADDRESS"].rstrip("/"), env.get("RAY_AUTH_TOKEN", ""))
        command = shlex.join(["vllm", *json.loads(env["VLLM_ARGUMENTS"])]).replace(shlex.quote(HOST), f'"{HOST}"')
        planned = PlannedNodes.read(env)
        serving_job = env.get("SERVING_JOB", "")
        return Settings(
            ray=ray,
            model=Model(env["ENDPOINT"].rstrip("/"), env["SERVED_MODEL"], env.get("API_KEY_FILE", "")),
            planned_nodes=planned,
            jobs=VllmJobs(ray, env["SUBMISSION_ID"], command, json.loads(env.get("VLLM_ENVIRONMENT", "{}"))),
            bounds=Bounds(
                join=float(env.get("JOIN_TIMEOUT_SECONDS", "1800")),
                load=float(env.get("LOAD_TIMEOUT_SECONDS", "7200")),
                hang=float(env.get("HANG_TIMEOUT_SECONDS", "180")),
                drain=float(env.get("DRAIN_TIMEOUT_SECONDS", "0")),
            ),
            serving_job=serving_job,
            network=NetworkCheck(
                ray,
                layout=env.get("NETWORK_LAYOUT", ""),
                rdma=env.get("RDMA_RESOURCES", ""),
                config_map=env.get("NETWORK_RESULT", ""),
                serving_job=serving_job,
                job_uid=env.get("JOB_UID", ""),
            ),
            leaving=LeavingPods(env.get("RAY_CLUSTER", "")),
            planned_kv_cache_tokens=int(env.get("PLANNED_KV_CACHE_TOKENS", "0")),
            metrics_port=int(env.get("METRICS_PORT", PORT)),
            agent_port=int(env["AGENT_PORT"]) if "AGENT_PORT" in env else None,
        )


class Supervisor:
    """Serves until it is told to end."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._bounds = settings.bounds
        self._failures = FailureHistory()
        self._failing_node = FailingNode(settings.ray, settings.serving_job)
        self.metrics = SupervisorMetrics()
        self.agent = None if settings.agent_port is None else DoorAgent(settings.agent_port)

    def run(self) -> NoReturn:
        """Serve, and after each failure serve again."""
        SERVING_FILE.unlink(missing_ok=True)
        say("started", submission=self._settings.jobs.prefix, command=self._settings.jobs.command)
        self.metrics.begins(first=is_first_pod(self._settings.serving_job))
        if problem := tell_metrics(self.metrics.readings, self._settings.metrics_port):
            say("no_metrics", reason=problem)
        while True:
            began = time.monotonic()
            try:
                self.serve()
            except Failed as failure:
                self._report(failure, time.monotonic() - began)
            except Leaving as leaving:
                self.make_way(leaving.pods)

    def make_way(self, pods: list[str]) -> None:
        """Drain and stop vLLM for Ray pods that wait for it, and take requests again when they have gone."""
        say("leaving", pods=", ".join(pods))
        reason = f"Ray pods are evicted or deleted: {', '.join(pods)}. vLLM is drained, and starts when they are back"
        tell(self._settings.serving_job, LEAVING, reason)
        bounds = bounds_now(self._settings.serving_job, self._bounds)
        self._drain_and_stop(bounds.drain)
        if not self._settings.leaving.wait_until_gone(pods, bounds.join):
            say("still_there", pods=", ".join(pods), after=int(bounds.join))
        if self.agent:
            self.agent.take_requests()

    def end(self) -> None:
        """Let vLLM finish its requests and stop it, unless another pod will follow and take it over."""
        SERVING_FILE.unlink(missing_ok=True)
        if will_start_another_pod(self._settings.serving_job):
            say("left", reason="only this pod ends, its Job goes on: vLLM is left running for the next pod")
            return
        bounds = bounds_now(self._settings.serving_job, self._bounds)
        if self._drain_and_stop(bounds.drain):
            say("stopped", reason="no vLLM is running")

    def _drain_and_stop(self, seconds: float) -> bool:
        """Let vLLM finish its requests within so many seconds and stop it; return whether none is running."""
        drain(self._settings.model.endpoint, seconds, self.agent)
        deadline = time.monotonic() + HEAD_SECONDS
        while problem := self._stop_all():
            if time.monotonic() > deadline:
                say("stop_unknown", reason=problem)
                return False
            time.sleep(1)
        return True

    def _stop_all(self) -> str:
        """Return why a vLLM may still be running, nothing when none is."""
        try:
            return "" if self._settings.jobs.stop_all() else "it did not end in time"
        except NoAnswer as error:
            return f"the Ray head does not answer: {error}"

    def serve(self) -> NoReturn:
        """Make one attempt: raise `Failed` when it has ended."""
        self.metrics.attempts += 1
        self._bounds = bounds_now(self._settings.serving_job, self._bounds)
        job = self._running()
        if job is None:
            wait_for_nodes(self._settings.ray, self._settings.planned_nodes, self._bounds.join)
            job = self._running()
        if job is None:
            self._follow(self._submit(), WHOLE_LOG)
        say("took_over", attempt=self._settings.jobs.attempt_of(job), job=job.submission_id)
        self._follow(job, RECENT_LINES)

    def _running(self) -> Job | None:
        try:
            return self._settings.jobs.running()
        except NoAnswer:
            return None  # the wait for the nodes says that there is no head

    def _submit(self) -> Job:
        try:
            self._settings.jobs.wait_for_free_gpus()
            self._settings.network.run(self._bounds.minimum_gbit)
            return self._settings.jobs.submit()
        except NoAnswer as error:
            raise Failed("submit", f"Ray did not take the job: {error}") from None

    def _follow(self, job: Job, lines: int) -> NoReturn:
        settings = self._settings
        log = LogFollower(settings.ray, job.submission_id, lines)
        following = Following(settings.ray, job, log, settings.model, settings.planned_nodes, self._bounds)
        try:
            announce = functools.partial(self._announce, job, log, following.silent_for)
            following.until_end(announce, settings.leaving.check)
        except Failed:
            self._failing_node.note(log.engine.gpu_error)
            raise
        finally:
            self.metrics.has_ended()
            if following.served:
                self._failures.clear()

    def _announce(self, job: Job, log: LogFollower, silence: Callable[[], float]) -> None:
        """Tell that vLLM serves, and when its KV cache is not the planned one."""
        self.metrics.begins_to_serve(silence)
        name, planned, served = (
            self._settings.serving_job,
            self._settings.planned_kv_cache_tokens,
            log.engine.kv_cache_tokens,
        )
        tell(name, SERVING, f"a completion was answered by Ray job {job.submission_id}")
        if planned and served is not None and abs(served - planned) > KV_CACHE_TOLERANCE * planned:
            say("kv_cache", planned=planned, tokens=served)
            tell(name, KV_CACHE_DIFFERS, f"the KV cache holds {served:,} tokens, and {planned:,} were planned")

    def _report(self, failure: Failed, lasted: float) -> None:
        """Say why an attempt failed, and wait before the next."""
        self.metrics.has_failed(failure.kind)
        delay = self._failures.add(failure)
        same = self._failures.same
        say("failed", kind=failure.kind, same=same, after=int(lasted), retry_in=delay, reason=failure.reason)
        tell(self._settings.serving_job, FAILED, f"{failure.reason}; tried again in {delay} s")
        if same >= HOPELESS_REPETITIONS:
            say("hopeless", same=same, reason="the same again and again: it will hardly go away without a change")
        time.sleep(delay)


def _terminate(_signal: int, _frame: FrameType | None) -> NoReturn:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    raise Terminated


def main() -> NoReturn:
    """Run the supervisor until SIGTERM."""
    signal.signal(signal.SIGTERM, _terminate)
    try:
        supervisor = Supervisor(Settings.read(os.environ))
    except (KeyError, ValueError) as error:
        sys.exit(f"supervisor: cannot read the environment: {error!r}")
    try:
        supervisor.run()
    except Terminated:
        supervisor.end()
    sys.exit(EXIT_CODE_ON_SIGTERM)


if __name__ == "__main__":
    main()

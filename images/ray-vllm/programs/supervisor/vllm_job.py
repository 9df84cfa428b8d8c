"""The Ray job that runs vLLM: found again by the supervisor's next pod, submitted, stopped."""

import time
from collections.abc import Mapping
from dataclasses import dataclass, field

from direct_http import NoAnswer
from failure_history import Failed
from ray_api import Job, RayApi
from supervisor_log import say

SUBMITTED_BY = {"submitted-by": "vllm-supervisor"}
POLL_SECONDS = 1.0
STOP_SECONDS = 60.0
STOP_GRACE_SECONDS = 10
"""Between SIGTERM and SIGKILL to vLLM: it aborts all requests at once, and then waits for their clients to go."""

ENGINE_GRACE_SECONDS = 10
"""The same for the processes that an ended vLLM has left behind."""

FREE_GPUS_SECONDS = 60.0


@dataclass(frozen=True)
class VllmJobs:
    """The jobs of one configuration: `prefix`-1, `prefix`-2, … are its attempts, each running `command`.

    `environment` is vLLM's own, beside that of the Ray pods.
    """

    ray: RayApi
    prefix: str
    command: str
    environment: Mapping[str, str] = field(default_factory=dict[str, str])

    def attempt_of(self, job: Job) -> int:
        """Return which attempt a job is; 0 for the job of another configuration."""
        prefix, _, number = job.submission_id.rpartition("-")
        return int(number) if prefix == self.prefix and number.isdecimal() else 0

    def running(self) -> Job | None:
        """Return the running job of this configuration, if any; stop all others that hold the GPUs.

        Those are the jobs of other configurations, and all but the last of this one. What no supervisor has submitted
        is left alone.
        """
        by_attempt = sorted(self._all_running(), key=self.attempt_of)
        ours = by_attempt[-1] if by_attempt and self.attempt_of(by_attempt[-1]) else None
        for job in by_attempt:
            if job is not ours:
                stop(self.ray, job, "it serves another configuration or was superseded")
        return ours

    def submit(self) -> Job:
        """Start vLLM as the next attempt, once no other holds the GPUs."""
        self.wait_for_free_gpus()
        attempt = 1 + max(map(self.attempt_of, self.ray.jobs()), default=0)
        job_id = f"{self.prefix}-{attempt}"
        environment = {**self.environment, "RAY_JOB_STOP_WAIT_TIME_S": str(STOP_GRACE_SECONDS)}
        self.ray.submit(job_id, entrypoint(self.command), environment, SUBMITTED_BY)
        say("submitted", attempt=attempt, job=job_id)
        return Job(job_id, "PENDING", started=time.time())

    def stop_all(self) -> bool:
        """Stop every running vLLM, of whatever configuration; return False when one did not stop in time."""
        stopped = [stop(self.ray, job, "the end of serving was asked for") for job in self._all_running()]
        return all(stopped)

    def wait_for_free_gpus(self) -> None:
        """Give the workers of an ended vLLM time to go: what comes beside them would wait for their GPUs."""
        deadline = time.monotonic() + FREE_GPUS_SECONDS
        while groups := self.ray.placement_groups_with_gpus():
            if time.monotonic() > deadline:
                raise Failed("submit", f"GPUs are still held by Ray placement group {', '.join(groups)}")
            time.sleep(POLL_SECONDS)

    def _all_running(self) -> list[Job]:
        return [job for job in self.ray.jobs() if job.running and job.metadata.items() >= SUBMITTED_BY.items()]


def entrypoint(command: str) -> str:
    """Return the shell command of a job: `command`, and beside it what ends the rest of its process group after it.

    An API server that is killed leaves the process of its engine behind, which holds the GPUs (vLLM 0.32), and Ray ends
    the children of a job only when the job is stopped (Ray 2.60, job_supervisor.py).
    """
    kill_group = f"trap '' TERM; kill -TERM -$$; sleep {ENGINE_GRACE_SECONDS}; kill -KILL -$$"
    return f"(while kill -0 $$; do sleep 1; done; {kill_group}) 2>/dev/null & exec {command}"


def stop(ray: RayApi, job: Job, why: str) -> bool:
    """End a job and wait until it has ended, at most 60 s; return whether it has."""
    say("stopping", job=job.submission_id, reason=why)
    deadline = time.monotonic() + STOP_SECONDS
    while (now := ray.job(job.submission_id)) and now.running:
        if time.monotonic() > deadline:
            say("still_running", job=job.submission_id, reason=f"not stopped within {STOP_SECONDS:.0f} s")
            return False
        ray.stop(job.submission_id)  # again and again: a job that is about to start does not hear it
        time.sleep(POLL_SECONDS)
    return True


def stop_if_reachable(ray: RayApi, job: Job, why: str) -> None:
    """`stop` a job whose head may be gone, and the job with it."""
    try:
        stop(ray, job, why)
    except NoAnswer as error:
        say("stop_unknown", job=job.submission_id, reason=f"the Ray head does not answer: {error}")

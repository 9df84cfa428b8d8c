"""A Ray cluster through the REST API of its head: nodes, jobs, placement groups, the output of a job.

Plain HTTP and not `ray.job_submission.JobSubmissionClient`: that client sends its requests without a time-out (Ray
2.60, dashboard_sdk.py), so that a head that hangs would hang its caller for good; it knows neither nodes nor placement
groups; and it needs Ray, 500 MB and seconds of import, where this runs in any Python. The routes are those of Ray's
Jobs and State APIs, token authentication is a bearer header. Tried with Ray 2.60.
"""

import json
import urllib.error
import urllib.request
from dataclasses import dataclass, field
from http.client import HTTPException, HTTPResponse
from typing import Any

from direct_http import NoAnswer, fetch, open_url

TIMEOUT_SECONDS = 10.0
HTTP_NOT_FOUND = 404
_OPENER = urllib.request.build_opener(urllib.request.ProxyHandler({}))
MOST_ITEMS = 10_000  # that the State API gives at once; without a limit it gives 100


@dataclass(frozen=True)
class Node:
    """A Ray node that is alive. `accelerator` is Ray's short name of its GPUs, such as A100, empty if it knows none.

    `is_head` is true for the node that runs vLLM's driver.
    """

    address: str
    gpus: int
    accelerator: str = ""
    is_head: bool = False


@dataclass(frozen=True)
class Job:
    """A submitted Ray job. `started` is in seconds since the epoch.

    `exit_code` is that of its command, None unless that has ended by itself; `node_id` the Ray node that runs the
    command, empty as long as the job is PENDING.
    """

    submission_id: str
    status: str
    started: float
    message: str = ""
    exit_code: int | None = None
    node_id: str = ""
    metadata: dict[str, str] = field(default_factory=dict[str, str])

    @property
    def running(self) -> bool:
        """Whether it has not ended yet."""
        return self.status in ("PENDING", "RUNNING")


@dataclass(frozen=True)
class RayApi:
    """The head at `address` (`http://host:8265`). Methods raise `NoAnswer` when it does not answer within 10 s."""

    address: str
    token: str = ""

    def nodes(self) -> list[Node]:
        """Return the nodes that are alive."""
        return [_node(item) for item in self._state("nodes") if item["state"] == "ALIVE"]

    def placement_groups_with_gpus(self) -> list[str]:
        """Return the ids of the placement groups that hold GPUs or wait for them."""
        live = [group for group in self._state("placement_groups") if group["state"] != "REMOVED"]
        return [str(group["placement_group_id"]) for group in live if _has_gpus(group)]

    def jobs(self) -> list[Job]:
        """Return the jobs submitted since the head started, those that have ended too."""
        items: list[dict[str, Any]] = self._json("GET", "/api/jobs/")
        return [_job(item) for item in items if item.get("submission_id")]

    def job(self, submission_id: str) -> Job | None:
        """Return one job; None when the head does not know it, as a restarted head knows none."""
        try:
            return _job(self._json("GET", f"/api/jobs/{submission_id}"))
        except NoAnswer as error:
            if error.status == HTTP_NOT_FOUND:
                return None
            raise

    def submit(
        self,
        submission_id: str,
        command: str,
        environment: dict[str, str],
        metadata: dict[str, str],
        package: str | None = None,
    ) -> None:
        """Start a shell command on the head, under an id that no job has had.

        It asks for no GPUs: a GPU given to the command would be missing to the workers that it starts. The files of an
        uploaded `package` are where it and its workers run.
        """
        working_dir = {"working_dir": f"gcs://{package}"} if package else {}
        body = {
            "submission_id": submission_id,
            "entrypoint": command,
            "runtime_env": {"env_vars": environment, **working_dir},
            "metadata": metadata,
        }
        self._json("POST", "/api/jobs/", body)

    def upload(self, package: str, data: bytes) -> None:
        """Give the head a zip file; Ray removes it when no job has used it for ten minutes."""
        request = urllib.request.Request(
            f"{self.address}/api/packages/gcs/{package}",
            data,
            {"Content-Type": "application/octet-stream", "Authorization": f"Bearer {self.token}"},
            method="PUT",
        )
        try:
            with _OPENER.open(request, timeout=TIMEOUT_SECONDS) as response:
                response.read()
        except urllib.error.HTTPError as error:
            with error:
                raise NoAnswer(f"PUT {request.selector}: HTTP {error.code}", status=error.code) from None
        except (OSError, HTTPException) as error:
            raise NoAnswer(f"PUT {request.selector}: {error}") from None

    def log(self, submission_id: str) -> str:
        """Return what a job has written."""
        return str(self._json("GET", f"/api/jobs/{submission_id}/logs")["logs"])

    def stop(self, submission_id: str) -> None:
        """Ask for the end of a job: SIGTERM, then SIGKILL after RAY_JOB_STOP_WAIT_TIME_S of its environment (3 s)."""
        self._json("POST", f"/api/jobs/{submission_id}/stop")

    def follow_log(self, job: Job, lines: int) -> HTTPResponse:
        """Return a stream of a job's output, from `lines` lines back (-1: from its start), that outlasts the job."""
        query = f"node_id={job.node_id}&filename=job-driver-{job.submission_id}.log&lines={lines}&interval=1"
        return open_url("GET", f"{self.address}/api/v0/logs/stream?{query}", token=self.token, timeout=None)

    def _state(self, what: str) -> list[dict[str, Any]]:
        items: list[dict[str, Any]] = self._json("GET", f"/api/v0/{what}?limit={MOST_ITEMS}&detail=true")["data"][
            "result"
        ]["result"]
        return items

    def _json(self, method: str, path: str, body: dict[str, Any] | None = None) -> Any:  # noqa: ANN401  whatever comes
        text = fetch(method, self.address + path, body=body, token=self.token, timeout=TIMEOUT_SECONDS)
        try:
            return json.loads(text)
        except ValueError:
            raise NoAnswer(f"{method} {path}: not JSON: {text[:200]}") from None


def _node(item: dict[str, Any]) -> Node:
    resources: dict[str, float] = item.get("resources_total") or {}
    prefix = "accelerator_type:"
    accelerator = next((name.removeprefix(prefix) for name in resources if name.startswith(prefix)), "")
    return Node(
        address=str(item["node_ip"]),
        gpus=int(resources.get("GPU", 0)),
        accelerator=accelerator,
        is_head=bool(item.get("is_head_node")),
    )


def _has_gpus(group: dict[str, Any]) -> bool:
    bundles: list[dict[str, Any]] = group.get("bundles") or []
    return any("GPU" in bundle["unit_resources"] for bundle in bundles)


def _job(item: dict[str, Any]) -> Job:
    metadata: dict[str, str] = item.get("metadata") or {}
    return Job(
        submission_id=str(item["submission_id"]),
        status=str(item["status"]),
        started=(item.get("start_time") or 0) / 1000,
        message=str(item.get("message") or ""),
        exit_code=item.get("driver_exit_code"),
        node_id=str(item.get("driver_node_id") or ""),
        metadata=metadata,
    )

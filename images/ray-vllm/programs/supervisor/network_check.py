"""Has the network proven before vLLM starts, by a Ray job between the very pods that will serve, and tells the result.

The job's programs travel with it (images/ray-vllm/programs/proof): in the Ray pods' ConfigMap an edit of them would
restart every GPU. Whatever goes wrong with the proof is told, and vLLM starts; only a network that was measured below
the minimum is refused.
"""

import io
import json
import time
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

import in_cluster
from direct_http import NoAnswer
from failure_history import Failed
from kept_result import write
from ray_api import Job, RayApi
from serving_events import NETWORK, NETWORK_PROBLEM, tell
from supervisor_log import say
from vllm_job import SUBMITTED_BY, stop_if_reachable

PROGRAMS = Path(__file__).parent
MODULES = (
    "nccl_log",
    "network_proof",
    "node_proof",
    "processor_check",
    "proof_layout",
    "proof_report",
    "rank_measure",
)
"""The programs of the job, which are beside this one in its ConfigMap."""

ENTRY_POINT = "python3 -m network_proof"
RESULT = "network-proof: "
"""What the line of the result begins with (network_proof.py)."""

RANK_SECONDS = 60.0
JOB_SECONDS = 100.0
"""The job ends its ranks after RANK_SECONDS, and itself 20 s later at the most; Ray needs some to start it."""

POLL_SECONDS = 0.5
GIGABITS = 8
"""Of a gigabyte."""


@dataclass
class NetworkCheck:
    """The proof of one Ray cluster. It is repeated where the Ray nodes are others than before, or were refused."""

    ray: RayApi
    layout: str
    """Of proof_layout.Layout; empty where there is nothing to prove."""

    rdma: str
    """The resources by which the pods were given RDMA devices; empty where they were not."""

    config_map: str
    """Where the result is kept; empty where it is not."""

    serving_job: str
    job_uid: str
    _proven: Sequence[str] = ()

    def run(self, minimum_gbit: float) -> None:
        """Measure, tell and keep the result. Raises `Failed` where nodes reach each other with less than the minimum.

        `minimum_gbit` is in Gbit/s, 0 where there is none. A minimum that could not be measured refuses nothing.
        """
        if not self.layout or (nodes := self._nodes()) == self._proven:
            return
        result = self._result()
        if self.config_map:
            keep(self.config_map, {**result, "job": self.job_uid})
        self._tell(result)
        if refusal := too_slow(result, minimum_gbit):
            raise Failed("network", refusal)
        self._proven = nodes

    def _nodes(self) -> Sequence[str]:
        try:
            return sorted(node.address for node in self.ray.nodes())
        except NoAnswer:
            return ()

    def _result(self) -> dict[str, Any]:
        try:
            job = self._submit()
        except (NoAnswer, OSError) as error:
            return {"problem": f"it could not be started: {error}"}
        deadline = time.monotonic() + JOB_SECONDS
        while time.monotonic() < deadline:
            time.sleep(POLL_SECONDS)
            try:
                now = self.ray.job(job.submission_id)
                if now is None:
                    return {"problem": "the Ray head was restarted meanwhile"}
                if not now.running:
                    return result_in(self.ray.log(job.submission_id)) or {"problem": f"its Ray job: {now.message}"}
            except NoAnswer:
                continue  # the next question may be answered
        stop_if_reachable(self.ray, job, "the network proof takes too long")
        return {"problem": f"it had not ended after {JOB_SECONDS:.0f} s"}

    def _submit(self) -> Job:
        data = package()
        name = f"_ray_pkg_{sha256(data).hexdigest()[:32]}.zip"
        self.ray.upload(name, data)
        job = Job(f"network-proof-{time.time_ns() // 1_000_000}", "PENDING", time.time())
        environment = {"LAYOUT": self.layout, "SECONDS": str(RANK_SECONDS)}
        self.ray.submit(job.submission_id, ENTRY_POINT, environment, SUBMITTED_BY, package=name)
        say("proving", job=job.submission_id)
        return job

    def _tell(self, result: Mapping[str, Any]) -> None:
        summary = str(result.get("summary", ""))
        problems = [f"not all was measured: {result['problem']}"] if "problem" in result else []
        problems += result.get("findings", [])
        say(
            "network",
            **({"measured": summary} if summary else {}),
            **({"reason": "; ".join(problems)} if problems else {}),
        )
        if summary:
            tell(self.serving_job, NETWORK, summary)
        if problems:
            tell(self.serving_job, NETWORK_PROBLEM, "; ".join(problems))
        if self.rdma and (without := result.get("without")):
            reason = f"network.rdmaResources gives the pods {self.rdma}, and NCCL does not use it: {'; '.join(without)}"
            say("network_error", reason=reason)
            tell(self.serving_job, NETWORK_PROBLEM, reason)


def package() -> bytes:
    """Return the job's programs as a zip file, the same bytes for the same programs."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for name in MODULES:
            archive.writestr(zipfile.ZipInfo(f"{name}.py"), (PROGRAMS / f"{name}.py").read_text())
    return file.getvalue()


def keep(config_map: str, result: Mapping[str, Any]) -> None:
    """Write a result into the ConfigMap, from where `up` reads it; nothing that serves fails for want of it."""
    try:
        write(config_map, result)
    except in_cluster.ApiError as error:
        say("result_lost", reason=str(error))


def result_in(log: str) -> dict[str, Any] | None:
    """Return the result in what the job has written, None where there is none."""
    line = next((line for line in reversed(log.splitlines()) if line.startswith(RESULT)), "")
    try:
        return dict(json.loads(line.removeprefix(RESULT)))
    except (ValueError, TypeError):
        return None


def too_slow(result: Mapping[str, Any], minimum_gbit: float) -> str:
    """Return why a network is refused, nothing where it is not."""
    nodes = result.get("nodes")
    if not minimum_gbit or not nodes or (measured := nodes["gigabytesPerSecond"] * GIGABITS) >= minimum_gbit:
        return ""
    way = f" ({result['betweenNodes']})" if "betweenNodes" in result else ""
    return (
        f"network.minimumBandwidth is {minimum_gbit:g} Gbit/s, and {measured:.3g} Gbit/s were measured between "
        f"{nodes['slowest']}{way}"
    )

"""The supervisor has the network proven before vLLM starts: what comes of each end that the proof can have."""

import io
import json
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeAlias

import in_cluster
import network_check
import own_job
import pytest
import vllm_job
from attempts import Serve, is_serving, told, when
from proof_layout import Layout
from stub_servers import Body, Reply, StubRay
from supervisor import Settings, Supervisor

PROOF = Path(__file__).parents[1] / "programs/proof"
LAYOUT = Layout(nodes=2, ranks_per_node=1, tensor_parallel_size=1, pipeline_parallel_size=2)
SLOW = {
    "summary": "between nodes 11.2 GB/s",
    "betweenNodes": "sockets on eth0",
    "nodes": {"gigabytesPerSecond": 11.2, "slowest": "head - worker"},
}
NETWORK = {"NETWORK_LAYOUT": LAYOUT.told(), "SERVING_JOB": "serve", "JOB_UID": "u", "NETWORK_RESULT": "network-result"}

Prove: TypeAlias = Callable[..., None]
pytestmark = pytest.mark.usefixtures("fast")


class Api:
    """The API server: the serving Job with its annotations, what was kept and which Events were made."""

    def __init__(self) -> None:
        self.annotations: dict[str, str] = {}
        self.kept: list[dict[str, Any]] = []
        self.events: list[tuple[str, str, str]] = []

    def request(self, method: str, path: str, body: Any = None, **_: Any) -> dict[str, Any]:
        if method == "PATCH":
            assert path == "/api/v1/namespaces/n/configmaps/network-result"
            self.kept.append(json.loads(body["data"]["result"]))
        if method == "POST":
            self.events.append((body["type"], body["reason"], body["message"]))
        return {"metadata": {"name": "serve", "uid": "u", "annotations": self.annotations}, "spec": {}}


@pytest.fixture(autouse=True)
def api(monkeypatch: pytest.MonkeyPatch) -> Api:
    found = Api()
    monkeypatch.setattr(in_cluster, "request", found.request)
    monkeypatch.setenv("POD_NAMESPACE", "n")
    monkeypatch.setattr(network_check, "PROGRAMS", PROOF)
    monkeypatch.setattr(network_check, "POLL_SECONDS", 0.02)
    monkeypatch.setattr(network_check, "JOB_SECONDS", 0.4)
    return found


@pytest.fixture
def proof(ray: StubRay) -> Prove:
    """Have the Ray job of a proof write these lines and end with this status; vLLM ends as soon as it serves."""

    def play(*lines: str, status: str | None = "SUCCEEDED", upload: int = 200) -> None:
        def run(job_id: str) -> None:
            if not job_id.startswith("network-proof-"):
                when(is_serving, lambda: ray.end_job(job_id))
                return
            ray.routes[("GET", f"/api/jobs/{job_id}/logs")] = lambda _: (200, {"logs": "\n".join(lines)})
            if status:
                ray.end_job(job_id, status)
                ray.jobs[job_id]["message"] = "driver exited"

        ray.on_submit = run
        name = f"/api/packages/gcs/_ray_pkg_{network_check.sha256(network_check.package()).hexdigest()[:32]}.zip"
        ray.routes[("PUT", name)] = lambda _: (upload, {})

    return play


def result(found: dict[str, Any]) -> str:
    return network_check.RESULT + json.dumps(found)


def submitted(ray: StubRay) -> list[str]:
    return [job.rpartition("-")[0] for job in ray.jobs]


def test_it_comes_before_vllm_and_its_result_is_kept_and_told(
    ray: StubRay, serve: Serve, proof: Prove, api: Api, capsys: pytest.CaptureFixture[str]
) -> None:
    proof("a line of Ray", result(SLOW))
    assert serve(**NETWORK).kind == "exit"
    assert submitted(ray) == ["network-proof", "abc"]
    job = next(iter(ray.jobs.values()))
    assert job["metadata"] == vllm_job.SUBMITTED_BY, "the next supervisor's pod stops one that is left over"
    assert job["runtime_env"]["env_vars"]["LAYOUT"] == LAYOUT.told()
    assert api.kept == [SLOW | {"job": "u"}]
    assert ("Normal", "NetworkMeasured", "between nodes 11.2 GB/s") in api.events
    events = told(capsys)
    assert [event.name for event in events][:4] == ["joined", "proving", "network", "submitted"]
    assert events[2].fields == {"measured": "between nodes 11.2 GB/s"}


def test_the_programs_travel_with_the_job(ray: StubRay, serve: Serve, proof: Prove, tmp_path: Path) -> None:
    proof(result(SLOW))
    serve(**NETWORK)
    [(path, data)] = ray.uploads.items()
    job = next(iter(ray.jobs.values()))
    assert job["runtime_env"]["working_dir"] == f"gcs://{path.rpartition('/')[2]}"
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        archive.extractall(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {path.name for path in PROOF.glob("*.py")}
    ran = subprocess.run([sys.executable, "-m", "node_proof"], cwd=tmp_path, capture_output=True, check=False)
    assert ran.returncode == 0, ran.stderr
    assert network_check.package() == data, "the same programs are the same package, which Ray keeps once"


@pytest.mark.parametrize(
    ("played", "reason"),
    [
        ({"lines": [], "upload": 500}, "it could not be started: PUT"),
        ({"lines": ["Traceback", "ImportError: torch"], "status": "FAILED"}, "its Ray job: driver exited"),
        ({"lines": [result(SLOW)[:40]]}, "its Ray job: driver exited"),
        ({"lines": [network_check.RESULT + "3"]}, "its Ray job: driver exited"),
        ({"lines": [], "status": None}, "it had not ended after 0 s"),
        ({"lines": [result({"problem": "rank 0 of worker ended"})]}, "rank 0 of worker ended"),
    ],
    ids=["upload", "failed", "half a result", "no result", "hang", "a peer died"],
)
def test_a_proof_that_fails_is_told_and_the_model_is_served(
    played: dict[str, Any], reason: str, ray: StubRay, serve: Serve, proof: Prove, api: Api
) -> None:
    api.annotations[own_job.MINIMUM_BANDWIDTH] = "400"
    proof(*played.pop("lines"), **played)
    assert serve(**NETWORK).kind == "exit"
    assert submitted(ray)[-1] == "abc"
    [message] = [message for kind, name, message in api.events if (kind, name) == ("Warning", "NetworkProblem")]
    assert message.startswith(f"not all was measured: {reason}")
    assert [job["status"] for job in ray.jobs.values() if job["status"] in ("PENDING", "RUNNING")] == []


def test_a_head_that_forgets_the_proof_is_told(ray: StubRay, serve: Serve, proof: Prove, api: Api) -> None:
    proof(status=None)
    play = ray.on_submit

    def forget(job_id: str) -> None:
        play(job_id)
        if job_id.startswith("network-proof-"):
            del ray.jobs[job_id]

    ray.on_submit = forget
    assert serve(**NETWORK).kind == "exit"
    assert api.kept == [{"problem": "the Ray head was restarted meanwhile", "job": "u"}]


def test_less_than_the_minimum_is_refused_with_both_numbers_and_measured_again(
    ray: StubRay, serve: Serve, proof: Prove, api: Api, environment: dict[str, str]
) -> None:
    api.annotations[own_job.MINIMUM_BANDWIDTH] = "100"
    proof(result(SLOW))
    failure = serve(**NETWORK)
    assert (failure.kind, failure.reason) == (
        "network",
        "network.minimumBandwidth is 100 Gbit/s, and 89.6 Gbit/s were measured between head - worker (sockets on eth0)",
    )
    assert submitted(ray) == ["network-proof"]
    tries = Supervisor(Settings.read(environment | NETWORK))
    for _ in range(2):
        with pytest.raises(network_check.Failed, match=r"89\.6"):
            tries.serve()
    assert submitted(ray) == ["network-proof"] * 3
    proof(result(SLOW | {"nodes": {"gigabytesPerSecond": 12.5, "slowest": "head - worker"}}))
    with pytest.raises(network_check.Failed) as caught:
        tries.serve()
    assert caught.value.kind == "exit", "it has served"


def test_nodes_that_were_proven_are_not_proven_again(ray: StubRay, proof: Prove, environment: dict[str, str]) -> None:
    proof(result(SLOW))
    tries = Supervisor(Settings.read(environment | NETWORK))
    for nodes in ("10.0.0.1", "10.0.0.1", "10.0.0.2"):
        ray.nodes = [ray.node(nodes)]
        with pytest.raises(network_check.Failed):
            tries.serve()
    assert submitted(ray) == ["network-proof", "abc", "abc", "network-proof", "abc"]


def test_it_waits_until_another_vllm_has_left_the_gpus(
    ray: StubRay, serve: Serve, proof: Prove, monkeypatch: pytest.MonkeyPatch
) -> None:
    proof(result(SLOW))
    monkeypatch.setattr(vllm_job, "FREE_GPUS_SECONDS", 0.05)
    bundles = [{"unit_resources": {"GPU": 1.0}}]
    ray.placement_groups = [{"placement_group_id": "old", "state": "CREATED", "bundles": bundles}]
    assert serve(**NETWORK).kind == "submit"
    assert ray.jobs == {}


@pytest.mark.parametrize("rdma", ["", "rdma/hca"])
def test_sockets_are_an_error_where_the_pods_have_devices_for_rdma(
    rdma: str, serve: Serve, proof: Prove, api: Api, capsys: pytest.CaptureFixture[str]
) -> None:
    proof(result(SLOW | {"without": ["head sends over sockets on eth0: NCCL_IB_DISABLE=1 is set"]}))
    assert serve(**NETWORK, RDMA_RESOURCES=rdma).kind == "exit"
    errors = [event.fields["reason"] for event in told(capsys) if event.name == "network_error"]
    said = "network.rdmaResources gives the pods rdma/hca, and NCCL does not use it: head sends over sockets on eth0"
    assert errors == ([f"{said}: NCCL_IB_DISABLE=1 is set"] if rdma else [])
    assert any(kind == "Warning" for kind, _, _ in api.events if "rdmaResources" in _) == bool(rdma)


def test_what_is_wrong_with_a_gpu_is_a_warning(serve: Serve, proof: Prove, api: Api) -> None:
    proof(result(SLOW | {"findings": ["GPU 3 of worker multiplies with 300 TFLOP/s"]}))
    serve(**NETWORK)
    assert ("Warning", "NetworkProblem", "GPU 3 of worker multiplies with 300 TFLOP/s") in api.events


def test_without_a_layout_nothing_is_proven(ray: StubRay, serve: Serve, proof: Prove) -> None:
    proof()
    serve(SERVING_JOB="serve")
    assert submitted(ray) == ["abc"]


def test_a_result_that_cannot_be_kept_is_told_and_the_model_is_served(
    ray: StubRay,
    serve: Serve,
    proof: Prove,
    api: Api,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def request(method: str, path: str, body: Body | None = None, **_: Any) -> Reply | dict[str, Any]:
        if method == "PATCH":
            raise in_cluster.ApiError(404, "no such ConfigMap")
        return api.request(method, path, body)

    monkeypatch.setattr(in_cluster, "request", request)
    proof(result(SLOW))
    assert serve(**NETWORK).kind == "exit"
    assert submitted(ray)[-1] == "abc"
    assert [event.fields["reason"] for event in told(capsys) if event.name == "result_lost"] == ["no such ConfigMap"]

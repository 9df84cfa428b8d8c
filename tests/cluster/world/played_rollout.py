"""An `up` of small engines whose Jobs end at once, and what of the engines came and went meanwhile."""

from collections.abc import Mapping, Sequence
from typing import Any

from pulumi import automation

from local.cluster.api_server import ApiServer
from local.cluster.simulated_nodes import PLAYED
from tests.cluster.world.played_kubelet import CORE, Up, end_pod
from tests.cluster.world.played_programs import IMAGES
from tests.cluster.world.stack_objects import objects
from tests.cluster.world.watched_objects import Moment

GATES = ("gate", "gate-1", "gate-surge")
JOBS = ("serve", "serve-1", "serve-surge", *GATES)

TWO_NODES: Mapping[str, dict[str, Any]] = {
    "model": {"repository": "https://huggingface.co/deepseek-ai/DeepSeek-V3"},
    "hardware": {"nodes": 2},
    "image": IMAGES,
}
"""The weights in FP8 fit on two of the four simulated nodes."""


class Programs:
    """Lets the programs of Jobs' pods end well at once, but for those of Jobs that are to fail; supervisors stay."""

    def __init__(self, api: ApiServer, *fail: str) -> None:
        self._api, self._fail = api, fail

    def step(self) -> None:
        for pod in self._api.request("GET", f"{CORE}/pods")["items"]:
            job = pod["metadata"]["labels"].get("batch.kubernetes.io/job-name", "")
            played = pod["spec"]["containers"][0]["image"].startswith(PLAYED)
            if job and played and pod["status"]["phase"] == "Running" and not job.startswith("serve-"):
                end_pod(self._api, pod, "no answer" if job.rpartition("-")[0] in self._fail else "")


def order(moments: Sequence[Moment]) -> list[str]:
    """Return in their order the ends and the arrivals of what serves, and the arrivals of gates."""
    told: list[str] = []
    for moment in moments:
        name = moment.name.rpartition("-")[0] if moment.kind == "jobs" else moment.name
        wanted = {"ADDED"} if name in GATES else {"ENDING", "ADDED"}
        if moment.event in wanted and (moment.kind == "rayclusters" or name in JOBS):
            told.append(f"{name} {moment.event}")
    return told


def up(stack: automation.Stack, api: ApiServer, *fail: str) -> str:
    return Up(stack).play(Programs(api, *fail).step)


def serving(api: ApiServer) -> dict[tuple[str, str], str]:
    """Return the identities of RayClusters and serving Jobs."""
    return {
        (kind, name): item["metadata"]["uid"]
        for (kind, name), item in objects(api).items()
        if kind == "rayclusters" or (kind == "jobs" and name.startswith("serve-"))
    }

"""Tells which node CUDA errors come from, when it is the same one again and again.

A GPU that is broken ends vLLM with a CUDA error, and the next attempt may run for hours before it does so again. Ray
says in front of what a worker writes on which pod it runs; the pod's node is asked of the API server.
"""

import in_cluster
from direct_http import NoAnswer
from engine_log import GpuError
from ray_api import RayApi
from serving_events import GPU_ERRORS, tell
from supervisor_log import say

TELLING_TIMES = 3
"""In a row, with an end of vLLM for another reason or on another node between them they do not count together."""

RAY_PODS = "ray.io/cluster"


class FailingNode:
    """Counts the ends of vLLM by a CUDA error on one node, from one attempt to the next."""

    def __init__(self, ray: RayApi, serving_job: str) -> None:
        self._ray, self._serving_job = ray, serving_job
        self._name, self._times = "", 0

    def note(self, error: GpuError | None) -> None:
        """Take in how an attempt has ended, and tell where its node has failed three times in a row or more."""
        name = self._node_of(error.address) if error else ""
        self._times = self._times + 1 if name == self._name else 1
        self._name = name
        if error and self._times >= TELLING_TIMES:
            reason = (
                f"vLLM has ended {self._times} times in a row with a CUDA error on {name}: {error.text}. Look at the "
                "GPUs there (nvidia-smi, Xid in the kernel's log); scheduling.avoidNodes keeps the stack off a node"
            )
            say("gpu_errors", node=name, same=self._times, reason=reason)
            tell(self._serving_job, GPU_ERRORS, reason)

    def _node_of(self, address: str) -> str:
        """Return the name of a pod's node, or the pod's address where the API server does not tell it."""
        if not address:
            try:
                address = next((node.address for node in self._ray.nodes() if node.is_head), "the head's node")
            except NoAnswer:
                return "the head's node"
        if not self._serving_job:
            return address
        try:
            path = f"/api/v1/namespaces/{in_cluster.namespace()}/pods?labelSelector={RAY_PODS}"
            pods = in_cluster.request("GET", path)["items"]
        except in_cluster.ApiError:
            return address
        return next((pod["spec"]["nodeName"] for pod in pods if pod["status"].get("podIP") == address), address)

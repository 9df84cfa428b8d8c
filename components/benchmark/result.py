"""What the benchmark's Job has measured, read from the ConfigMap that it writes."""

# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# The Kubernetes client's answers have no types.

import json
from collections.abc import Mapping, Sequence
from typing import Any, cast

import pulumi
import pulumi_kubernetes as k8s
from kubernetes import client
from kubernetes.client.exceptions import ApiException

from components.benchmark.args import BenchmarkArgs
from components.shared.cluster_api import TIMEOUT_SECONDS, UnreachableError, connected

RESULT, PREVIOUS = "result", "previous"
"""Keys of the ConfigMap (images/ray-vllm/programs/benchmark/benchmark.py)."""


def result_after(measured: k8s.batch.v1.Job, config_map: str, args: BenchmarkArgs) -> pulumi.Output[Mapping[str, Any]]:
    """Return what was measured, once the Job is complete; a preview knows it where the Job stays as it is.

    What the plan predicts for this load stands beside it.
    """

    def read(job: Sequence[Any]) -> pulumi.Input[Mapping[str, Any]]:
        _, described = job
        name, uid = described["name"], described.get("uid", "")
        try:
            with connected(args.kubeconfig, args.context) as api:
                found = result_in(api, args.namespace, config_map, name, uid)
        except UnreachableError as error:
            if pulumi.runtime.is_dry_run():
                return cast("pulumi.Output[Mapping[str, Any]]", pulumi.Output.from_input(pulumi.UNKNOWN))
            found = {"problem": f"the result could not be read: {error}"}
        if "problem" in found and not pulumi.runtime.is_dry_run():
            pulumi.warn(f"benchmark: {found['problem']}")
        return found | ({} if args.predicted is None else {"predictedTokensPerSecond": args.predicted})

    # Without an id there is no Job yet: a preview of one that will be made knows no result.
    return pulumi.Output.all(measured.id, measured.metadata).apply(read)


def result_in(api: client.ApiClient, namespace: str, config_map: str, job: str, uid: str) -> dict[str, Any]:
    """Return what a Job wrote into the ConfigMap, with what was measured before; else why not, as `problem`."""
    try:
        kept = client.CoreV1Api(api).read_namespaced_config_map(config_map, namespace, _request_timeout=TIMEOUT_SECONDS)
    except ApiException as error:
        return {"problem": f"ConfigMap {config_map} could not be read: {error.status} {error.reason}"}
    data: Mapping[str, str] = kept.data or {}
    try:
        found: dict[str, Any] = json.loads(data.get(RESULT, "{}"))
        if found.pop("job", None) != uid:
            return {"problem": f"Job {job} wrote no result into ConfigMap {config_map}; the log of its pod may say why"}
        if PREVIOUS in data:
            before = json.loads(data[PREVIOUS])
            found["previous"] = {key: before[key] for key in ("tokensPerSecond", "measuredAt")}
    except (ValueError, LookupError, TypeError, AttributeError) as error:
        return {"problem": f"ConfigMap {config_map} holds something else than a result: {error!r}"}
    return found

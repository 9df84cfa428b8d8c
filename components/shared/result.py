"""What a Job has measured, read from the ConfigMap that it writes: what the last `up` that measured has found.

Nothing that serves depends on it.
"""

# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# The Kubernetes client's answers have no types.

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

import pulumi
import pulumi_kubernetes as k8s
from kubernetes import client
from kubernetes.client.exceptions import ApiException

from components.shared.cluster_api import TIMEOUT_SECONDS, UnreachableError, connected
from components.shared.labels import metadata

RESULT, PREVIOUS = "result", "previous"
"""Keys of the ConfigMap: JSON with the uid of the Job that wrote it as `job`, and what was measured before that."""


def written_config_map(name: str, component: str, opts: pulumi.ResourceOptions) -> k8s.core.v1.ConfigMap:
    """Create an empty ConfigMap for a pod to write into; Pulumi leaves its data alone."""
    own = pulumi.ResourceOptions(ignore_changes=["data"])
    return k8s.core.v1.ConfigMap(name, metadata=metadata(name, component), opts=pulumi.ResourceOptions.merge(opts, own))


@dataclass(frozen=True, kw_only=True)
class Place:
    """The ConfigMap, and how its cluster is asked."""

    config_map: str
    namespace: str
    kubeconfig: str | None
    context: str | None
    of_before: Sequence[str] = ()
    """Which fields of what was measured before are shown."""


def result_after(done: k8s.batch.v1.Job, writer: k8s.batch.v1.Job, place: Place) -> pulumi.Output[Mapping[str, Any]]:
    """Return what `writer` has measured, read when `done` is complete; a preview knows it where both Jobs stay.

    Where there is no result, `problem` says why.
    """

    def read(jobs: Sequence[Any]) -> pulumi.Input[Mapping[str, Any]]:
        _, described = jobs
        try:
            with connected(place.kubeconfig, place.context) as api:
                return result_in(api, place, described["name"], described.get("uid", ""))
        except UnreachableError as error:
            if pulumi.runtime.is_dry_run():
                return cast("pulumi.Output[Mapping[str, Any]]", pulumi.Output.from_input(pulumi.UNKNOWN))
            return {"problem": f"the result could not be read: {error}"}

    # Without an id there is no Job yet: a preview of one that will be made knows no result.
    return pulumi.Output.all(done.id, writer.metadata).apply(read)


def result_in(api: client.ApiClient, place: Place, job: str, uid: str) -> dict[str, Any]:
    """Return what a Job wrote into the ConfigMap, with what was measured before; else why not, as `problem`."""
    config_map = place.config_map
    try:
        kept = client.CoreV1Api(api).read_namespaced_config_map(
            config_map, place.namespace, _request_timeout=TIMEOUT_SECONDS
        )
    except ApiException as error:
        return {"problem": f"ConfigMap {config_map} could not be read: {error.status} {error.reason}"}
    data: Mapping[str, str] = kept.data or {}
    try:
        found: dict[str, Any] = json.loads(data.get(RESULT, "{}"))
        if found.pop("job", None) != uid:
            return {"problem": f"Job {job} wrote no result into ConfigMap {config_map}; the log of its pod may say why"}
        if PREVIOUS in data and place.of_before:
            before = json.loads(data[PREVIOUS])
            found["previous"] = {key: before[key] for key in place.of_before}
    except (ValueError, LookupError, TypeError, AttributeError) as error:
        return {"problem": f"ConfigMap {config_map} holds something else than a result: {error!r}"}
    return found

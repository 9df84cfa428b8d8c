"""What a build resolved, as its pod told it: the digests behind the tags of base image, BuildKit and image."""

# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false
# The Kubernetes client's errors have no types.

from collections.abc import Mapping
from typing import cast

import pulumi
import pulumi_kubernetes as k8s
from kubernetes import client
from kubernetes.client.exceptions import ApiException

from components.image.args import ImageBuildArgs
from components.shared.cluster_api import TIMEOUT_SECONDS, UnreachableError, connected
from components.shared.content import digest
from components.shared.jobs import awaited
from components.shared.labels import metadata

NAMES = ("image", "base", "buildkit")


def record(
    args: ImageBuildArgs, reference: str, build: k8s.batch.v1.Job, opts: pulumi.ResourceOptions
) -> pulumi.Output[Mapping[str, str]]:
    """Keep what a build resolved in a ConfigMap, and return that; a preview does not know it before.

    The pod of a finished Job may go at any time, with what it told. So it is read once, after the Job of an image that
    the stack has not had before, and is kept until there is another image.
    """
    folder = args.recipe.folder
    kept = k8s.core.v1.ConfigMap(
        f"{folder}-resolved",
        metadata=metadata(f"resolved-{folder}-{digest(reference)}", "image"),
        data=_told_after(build, args),
        opts=pulumi.ResourceOptions.merge(opts, pulumi.ResourceOptions(depends_on=[build], ignore_changes=["data"])),
    )
    return kept.data


def _told_after(build: k8s.batch.v1.Job, args: ImageBuildArgs) -> pulumi.Input[Mapping[str, str]]:
    """Return what the pod of a Job told, once the Job is complete."""
    if pulumi.runtime.is_dry_run():
        return cast("pulumi.Output[Mapping[str, str]]", pulumi.Output.from_input(pulumi.UNKNOWN))
    namespace = args.image.build_namespace or args.namespace
    name: pulumi.Output[str] = build.metadata["name"]
    return awaited(name).apply(lambda job: told(job, namespace, args.kubeconfig, args.context))


def told(job: str, namespace: str, kubeconfig: str | None, context: str | None) -> dict[str, str]:
    """Return the references that the pod of a complete Job told, by name; else why not, as `unknown`."""
    try:
        with connected(kubeconfig, context) as api:
            pods = client.CoreV1Api(api).list_namespaced_pod(
                namespace, label_selector=f"batch.kubernetes.io/job-name={job}", _request_timeout=TIMEOUT_SECONDS
            )
    except (UnreachableError, ApiException) as error:
        return {"unknown": f"the build's pod could not be read: {error}"}
    for pod in pods.items:
        for status in (pod.status and pod.status.container_statuses) or []:
            ended = status.state and status.state.terminated
            if ended and ended.exit_code == 0:
                return parse(ended.message or "") or {"unknown": "the build's pod told nothing"}
    return {"unknown": "the build's pod was gone before it could be read"}


def parse(message: str) -> dict[str, str]:
    """Return the references of a termination message, which has a name and a reference a line."""
    lines = [line.partition(" ") for line in message.splitlines()]
    return {name: reference for name, _, reference in lines if name in NAMES and reference}

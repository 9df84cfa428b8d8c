"""A Job that never completes: Pulumi waits for the deletion, not for the completion."""

import pulumi
import pulumi_kubernetes as k8s

from components.shared.jobs import JobArgs, job, job_name
from components.shared.labels import metadata


def endless_job(name: str, args: JobArgs, opts: pulumi.ResourceOptions) -> k8s.batch.v1.Job:
    """Create a Job called as `job` would call it, and a ConfigMap of the same name that owns it.

    `pulumi.com/skipAwait`, with which Pulumi does not wait until the Job is complete, makes it not wait for the Job's
    end either (pulumi-kubernetes, allowsSkipAwaitWithDelete): what follows in a destroy or a replacement would meet
    pods that still run. A ConfigMap's end is awaited, and is not before that of all it owns: the Job and its pods.
    """
    owner = k8s.core.v1.ConfigMap(
        f"{name}-owner", metadata=metadata(job_name(name, args), args.component), immutable=True, opts=opts
    )
    return job(name, args, opts, owner=owner)

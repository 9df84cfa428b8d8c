"""How a Job is made: named by its content, bounded, and with its last words in the error."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, cast

import pulumi
import pulumi_kubernetes as k8s

from components.content import digest
from components.labels import labels, metadata

AWAITER_MARGIN_SECONDS = 120
"""How much longer Pulumi waits than the Job's own bound, whose message says more."""


@dataclass(frozen=True, kw_only=True)
class JobArgs:
    """One Job of a component."""

    component: str
    pod: Mapping[str, Any]
    """The pod's spec."""

    spec: Mapping[str, Any] = field(default_factory=dict[str, Any])
    """What else stands in the Job's spec."""

    annotations: Mapping[str, pulumi.Input[str]] = field(default_factory=dict[str, pulumi.Input[str]])
    """Values that the next resource reads back once the Job is complete, and Pulumi's own."""

    timeout_seconds: int | None = None
    """Bound of the whole Job; none for one that never completes."""


ONCE: Mapping[str, Any] = {
    "backoffLimit": 0,
    "podFailurePolicy": {"rules": [{"action": "Ignore", "onPodConditions": [{"type": "DisruptionTarget"}]}]},
}
"""In a Job's spec: its pod's failure is the Job's, unless the pod only had to leave its node."""


def job(name: str, args: JobArgs, opts: pulumi.ResourceOptions) -> k8s.batch.v1.Job:
    """Create a Job called `<name>-<hash of its spec and annotations>`.

    A change is a new Job with a new name, so its work is done before anything that depends on the old one is touched.
    The annotations are part of the name because Pulumi updates a changed annotation in place, on a Job that is done.
    """
    return k8s.batch.v1.Job(
        name,
        metadata=metadata(job_name(name, args), args.component, args.annotations),
        spec=cast("Any", _spec(args)),
        opts=pulumi.ResourceOptions.merge(opts, pulumi.ResourceOptions(custom_timeouts=_timeouts(args))),
    )


def job_name(name: str, args: JobArgs) -> pulumi.Output[str]:
    """Return how `job` calls it; unlike the Job's own metadata this does not wait for its work."""
    return pulumi.Output.from_input([_spec(args), args.annotations]).apply(lambda content: f"{name}-{digest(content)}")


def _spec(args: JobArgs) -> dict[str, Any]:
    bound = {} if args.timeout_seconds is None else {"activeDeadlineSeconds": args.timeout_seconds}
    return {
        **args.spec,
        **bound,
        "template": {
            "metadata": {"labels": labels(args.component)},
            "spec": {"restartPolicy": "Never", "enableServiceLinks": False, **args.pod},
        },
    }


def _timeouts(args: JobArgs) -> pulumi.CustomTimeouts | None:
    if args.timeout_seconds is None:
        return None
    seconds = f"{args.timeout_seconds + AWAITER_MARGIN_SECONDS}s"
    return pulumi.CustomTimeouts(create=seconds, update=seconds)

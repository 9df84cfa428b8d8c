"""How a Job is made: named by its content, bounded, with its last words in the error, and what it hands on."""

from collections.abc import Awaitable, Callable, Generator, Mapping
from dataclasses import dataclass, field
from typing import Any, cast

import pulumi
import pulumi_kubernetes as k8s

from components.shared.content import digest
from components.shared.labels import metadata, pod_metadata
from components.shared.parked import with_suspend
from planning.settings.sections import Pods

MOST_SUSPENDED_SECONDS = 30 * 24 * 3600
"""How much longer Pulumi waits than the Job's own bound. Kubernetes ends the Job, and counts no time in which a queue
suspends it; Pulumi's time-out cannot be stopped."""


@dataclass(frozen=True, kw_only=True)
class JobArgs:
    """One Job of a component."""

    component: str
    pod: Mapping[str, Any]
    """The pod's spec."""

    pods: Pods
    """What the site adds to all pods."""

    namespace: str | None = None
    """Where the Job is; the stack's own namespace if unset."""

    spec: Mapping[str, Any] = field(default_factory=dict[str, Any])
    """What else stands in the Job's spec."""

    annotations: Mapping[str, pulumi.Input[str]] = field(default_factory=dict[str, pulumi.Input[str]])
    """Values that the next resource reads back once the Job is complete, and Pulumi's own."""

    more_labels: Mapping[str, str] = field(default_factory=dict[str, str])
    """Further labels of the Job and its pod."""

    suspend: pulumi.Output[bool] | None = None
    """Whether it is made without a pod. It is no part of the name, so that the Job stays when somebody starts it."""

    turn: pulumi.Input[str] | None = None
    """Resolves when the Job may be made, and what it replaces may end."""

    looked_up: Mapping[str, pulumi.Input[str]] = field(default_factory=dict[str, pulumi.Input[str]])
    """Annotations that the pod's program looks up while it runs: they change in place, and its pod goes on."""

    timeout_seconds: int | None = None
    """Bound of the whole Job; none for one that never completes."""


ONCE: Mapping[str, Any] = {
    "backoffLimit": 0,
    "podFailurePolicy": {"rules": [{"action": "Ignore", "onPodConditions": [{"type": "DisruptionTarget"}]}]},
}
"""In a Job's spec: its pod's failure is the Job's, unless the pod only had to leave its node."""


def job(
    name: str, args: JobArgs, opts: pulumi.ResourceOptions, owner: k8s.core.v1.ConfigMap | None = None
) -> k8s.batch.v1.Job:
    """Create a Job called `<name>-<hash of its spec and annotations>`, which ends when its `owner` is deleted.

    A change is a new Job with a new name, so its work is done before anything that depends on the old one is touched.
    The annotations are part of the name because Pulumi updates a changed annotation in place, on a Job that is done.
    The time-out is not part of the name: a longer one is updated in place, and no work is done again.
    """
    annotations = {**args.annotations, **args.looked_up}
    described = metadata(job_name(name, args), args.component, annotations, args.namespace, args.more_labels)
    if owner:
        described.owner_references = [_reference(owner)]
    spec = {**_spec(args), **_bound(args)}
    return k8s.batch.v1.Job(
        name,
        metadata=described,
        spec=cast("Any", with_suspend(spec, args.suspend)),
        opts=pulumi.ResourceOptions.merge(opts, pulumi.ResourceOptions(custom_timeouts=_timeouts(args))),
    )


def job_name(name: str, args: JobArgs) -> pulumi.Output[str]:
    """Return how `job` calls it; unlike the Job's own metadata this does not wait for its work."""
    content = pulumi.Output.all(content_of(args), args.turn)
    return content.apply(lambda found: f"{name}-{digest(found[0])}")


def content_of(args: JobArgs) -> list[Mapping[str, Any]]:
    """Return what a Job's name has the hash of."""
    return [_spec(args), args.annotations]


def handed_on(done: k8s.batch.v1.Job, annotation: str) -> pulumi.Output[str]:
    """Return the value that a Job hands on: known in a preview, resolved when the Job is complete."""
    value: pulumi.Output[str] = done.metadata["annotations"][annotation]
    return awaited(value)


def awaited(value: pulumi.Output[str]) -> pulumi.Output[str]:
    """Return a value of a Job, which resolves when the Job is complete.

    It carries the wait and no dependency. A Job that failed is made again under its name, deleted first; whatever the
    engine knows to need its values would be deleted before that, and serving with it, hours before the work is done.
    So who takes the value also depends on the Job by `depends_on`, or on its component by `after`.
    """
    known, secret = _Later(value.is_known), _Later(value.is_secret)
    return pulumi.Output(set(), cast("Awaitable[str]", value.future()), known, secret)


@dataclass(frozen=True)
class _Later:
    """Asks only when it is awaited. A coroutine that nobody awaits, because the Job failed, would cause a warning."""

    ask: Callable[[], Awaitable[bool]]

    def __await__(self) -> Generator[Any, Any, bool]:
        return self.ask().__await__()


def after(opts: pulumi.ResourceOptions, *components: pulumi.Resource | None) -> pulumi.ResourceOptions:
    """Return the options of a component that takes what others' Jobs hand on: it is made after them and ends first.

    None stands for a component that the stack does not have.
    """
    there = [component for component in components if component]
    return pulumi.ResourceOptions.merge(opts, pulumi.ResourceOptions(depends_on=there))


def _bound(args: JobArgs) -> dict[str, int]:
    return {} if args.timeout_seconds is None else {"activeDeadlineSeconds": args.timeout_seconds}


def _reference(owner: k8s.core.v1.ConfigMap) -> k8s.meta.v1.OwnerReferenceArgs:
    return k8s.meta.v1.OwnerReferenceArgs(
        api_version="v1",
        kind="ConfigMap",
        name=owner.metadata["name"],
        uid=owner.metadata.uid,
        block_owner_deletion=True,
    )


def _spec(args: JobArgs) -> dict[str, Any]:
    return {
        **args.spec,
        "template": {
            "metadata": pod_metadata(args.component, args.pods, args.more_labels),
            "spec": {"restartPolicy": "Never", "enableServiceLinks": False, **args.pod},
        },
    }


def _timeouts(args: JobArgs) -> pulumi.CustomTimeouts | None:
    if args.timeout_seconds is None:
        return None
    seconds = f"{args.timeout_seconds + MOST_SUSPENDED_SECONDS}s"
    return pulumi.CustomTimeouts(create=seconds, update=seconds)

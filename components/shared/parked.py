"""A parked engine: somebody has set `spec.suspend` of both its objects, and what replaces them is made suspended.

The field belongs to whoever parks the engine, and Pulumi compares only what it sends. So it is not sent where nothing
else changes. It is sent with whatever is made anew or updated: in an update the provider takes over what kubectl has
set, and removes what is not sent (pulumi-kubernetes 4.25, fixCSAFieldManagers), which would start the engine.

The annotation CONTENT tells both: the content of an object, and whether `spec.suspend` was sent with it.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pulumi


@dataclass(frozen=True)
class Parked:
    """The annotations that the objects of a parked engine have, empty where there is none."""

    cluster: str
    job: str

    def suspends_cluster(self, content: pulumi.Output[str]) -> pulumi.Output[bool]:
        """Return whether `spec.suspend` is sent with a RayCluster of this content."""
        return content.apply(lambda new: new != self.cluster)

    def suspends_job(self, cluster: pulumi.Output[str], job: pulumi.Output[str]) -> pulumi.Output[bool]:
        """Return the same of a serving Job with this content, which is replaced with its RayCluster."""
        return pulumi.Output.all(cluster, job).apply(lambda new: new != [self.cluster, self.job])


def content_annotation(content: pulumi.Output[str], suspend: pulumi.Output[bool] | None) -> pulumi.Output[str]:
    """Return the annotation of an object that is not, or may be, sent suspended."""
    if suspend is None:
        return content
    return pulumi.Output.all(content, suspend).apply(lambda found: f"{found[0]} parked" if found[1] else found[0])


def with_suspend(spec: Mapping[str, Any], suspend: pulumi.Output[bool] | None) -> pulumi.Input[Mapping[str, Any]]:
    """Return a specification with `suspend` or without; a null would take the field from whoever has set it."""
    if suspend is None:
        return spec
    both = pulumi.Output.all(spec, suspend)
    return both.apply(lambda found: {**found[0], "suspend": True} if found[1] else found[0])

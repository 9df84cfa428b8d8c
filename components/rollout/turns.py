"""Whose turn it is: what replaces one of several engines waits until the others can do without it."""

from dataclasses import dataclass
from typing import Any, Self

import pulumi
import pulumi_kubernetes as k8s

from components.ray_cluster.ray_cluster import PORT
from components.shared.content import digest
from components.shared.engine_names import ENGINE, ENGINE_SERVICE, Place, endings
from components.shared.jobs import ONCE, JobArgs, handed_on, job
from components.shared.labels import ENDPOINT
from components.shared.pods import PodImage, environment, program_pod
from components.shared.programs import programs, programs_config_map
from components.stack_config import StackConfig
from planning.settings.sections import Pods, Scheduling

WAIT_SECONDS = 300
"""For an engine that is about to serve again, such as one whose supervisor is about to notice a failure."""

MARGIN_SECONDS = 120
"""The Job's own bound is later, with which its last words would go."""


@dataclass(frozen=True, kw_only=True)
class Turns:
    """One engine of several, or of one with a second place, and the gate of the one before it.

    The wait is no recorded dependency: engines that end, end side by side.
    """

    place: Place
    services: tuple[str, ...]
    """The Services of all engines, that of a surge too."""

    minimum_serving: int
    image: PodImage
    """An image with Python."""

    scheduling: Scheduling
    pods: Pods
    before: k8s.batch.v1.Job | None = None
    """None for the first."""

    @classmethod
    def of(
        cls,
        config: StackConfig,
        image: PodImage,
        place: Place,
        *,
        second_place: bool = False,
        before: k8s.batch.v1.Job | None = None,
    ) -> Self:
        """Return the turns of an engine of the stack. `image` is the fetch image."""
        settings = config.settings
        count = settings.serving.engines
        minimum = settings.rollout.minimum_of(count)
        return cls(
            place=place,
            services=tuple(f"{ENGINE_SERVICE}{ending}" for ending in endings(count, second_place=second_place)),
            minimum_serving=max(minimum, 1) if place.is_guarded else minimum,
            image=image,
            scheduling=settings.scheduling,
            pods=settings.pods,
            before=before,
        )

    def take(self, what: str, content: pulumi.Input[Any], opts: pulumi.ResourceOptions) -> pulumi.Output[str]:
        """Create the Job that waits, once for each `content`; return a value that resolves when it is complete.

        The Job fails after WAIT_SECONDS, and what takes the value is then left as it is.
        """
        name = self.place.at(f"turn-{what}")
        before = handed_on(self.before, ENDPOINT) if self.before else None
        config_map = programs_config_map(name, "gate", programs("ray-vllm/programs/turn/turn"), opts)
        own = self.place.at(ENGINE_SERVICE)
        variables: dict[str, pulumi.Input[str]] = {
            "ENGINE": _address(own),
            "OTHERS": ",".join(_address(service) for service in self.services if service != own),
            "MINIMUM_SERVING": str(self.minimum_serving),
            "SECONDS": str(WAIT_SECONDS),
            "CONTENT": pulumi.Output.all(content, before).apply(lambda found: digest(found[0])),
        }
        pod = program_pod(
            "turn",
            image=self.image,
            scheduling=self.scheduling,
            config_map=config_map,
            service_account=None,
            variables=environment(variables),
        )
        args = JobArgs(
            component="gate",
            pods=self.pods,
            annotations={ENGINE: str(self.place.engine), "pulumi.com/replaceUnready": "true"},
            spec=ONCE,
            pod=pod,
            timeout_seconds=WAIT_SECONDS + MARGIN_SECONDS,
        )
        # An interrupted `up` may have deleted it for its cluster. Pulumi then makes it again, and deletes the one
        # before by its name, which is the same unless this is done first.
        first = pulumi.ResourceOptions(delete_before_replace=True)
        return handed_on(job(name, args, pulumi.ResourceOptions.merge(opts, first)), ENGINE)


def _address(service: str) -> str:
    return f"http://{service}:{PORT}"

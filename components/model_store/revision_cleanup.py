"""RevisionCleanup: the Job that removes the revisions of the model that nothing serves any more."""

from dataclasses import dataclass
from typing import Self

import pulumi

from components.model_store.model_store import ModelStore
from components.shared.jobs import JobArgs, job
from components.shared.placement import beside_the_volume
from components.shared.pods import Manifest, PodImage, environment, mount_weights, program_pod
from components.shared.programs import programs, programs_config_map
from components.stack_config import StackConfig
from planning.settings.sections import Pods, Scheduling, Storage

MODEL = "/model"
TIMEOUT_SECONDS = 3600
"""A thousand files of a shared file system go in seconds; an hour is for one that hardly works."""


@dataclass(frozen=True, kw_only=True)
class RevisionCleanupArgs:
    """Which folder stays, on which claim."""

    image: PodImage
    storage: Storage
    scheduling: Scheduling
    pods: Pods
    claim_name: pulumi.Input[str]
    model_folder: pulumi.Output[str]
    """`<model>/<revision>`: the revision stays, the others of this model go."""

    endpoint: pulumi.Input[str]
    """Where the configured revision has answered: by then nothing serves another one."""

    @classmethod
    def of(cls, config: StackConfig, image: PodImage, store: ModelStore, endpoint: pulumi.Input[str]) -> Self:
        """Return the arguments for the model of a stack; `image` is the fetch image."""
        return cls(
            image=image,
            storage=config.settings.storage,
            scheduling=config.settings.scheduling,
            pods=config.settings.pods,
            claim_name=store.claim_name,
            model_folder=store.model_folder,
            endpoint=endpoint,
        )


class RevisionCleanup(pulumi.ComponentResource):
    """Removes a model's other revisions from the volume.

    Creates: a Job with a ConfigMap of its programs. Waits for: the Job, at most an hour. Leaves alone: the configured
    revision, other models, and all that the download did not make; its pod mounts no more than the model's folder.
    """

    def __init__(self, name: str, args: RevisionCleanupArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("deepseek:index:RevisionCleanup", name, None, opts)
        child = pulumi.ResourceOptions(parent=self)
        config_map = programs_config_map("remove", "weights", programs("fetch/removal"), child)
        job(
            "remove",
            JobArgs(
                component="remove",
                pods=args.pods,
                annotations={"pulumi.com/replaceUnready": "true"},
                spec={"backoffLimit": 3},
                pod=_pod(args, config_map),
                timeout_seconds=TIMEOUT_SECONDS,
            ),
            child,
        )
        self.register_outputs({})


def _pod(args: RevisionCleanupArgs, config_map: pulumi.Input[str]) -> Manifest:
    model = args.model_folder.apply(lambda folder: folder.split("/")[0])
    revision = args.model_folder.apply(lambda folder: folder.split("/")[1])
    pod = program_pod(
        "removal",
        image=args.image,
        scheduling=args.scheduling,
        config_map=config_map,
        service_account="default",
        variables=environment({"MODEL": MODEL, "CURRENT": revision, "SERVED_AT": args.endpoint}),
    )
    pod["automountServiceAccountToken"] = False
    mount_weights(pod, args.claim_name, MODEL, model)
    return pod | beside_the_volume(args.storage)

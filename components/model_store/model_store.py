"""ModelStore: the claim that holds the weights, and the Job that puts them there, verified."""

from dataclasses import dataclass
from typing import Self

import pulumi
import pulumi_kubernetes as k8s

from components.model_store.claim import VOLUME, MountArgs, claim, mounted
from components.model_store.model_facts import WRITE, write_facts
from components.shared.jobs import ONCE, JobArgs, handed_on, job
from components.shared.labels import CACHE_FOLDER, CLAIM, MODEL_FOLDER, MODEL_PATH, metadata
from components.shared.placement import beside_the_volume
from components.shared.pods import (
    Manifest,
    PodImage,
    environment,
    field_variable,
    mount_weights,
    program_pod,
    secret_variable,
)
from components.shared.programs import programs, programs_config_map
from components.shared.service_account import service_account
from components.shared.site_network import use_site_network
from components.stack_config import StackConfig
from planning.folders import cache_folder, model_folder
from planning.plan import Plan
from planning.settings.sections import Hardware, Model, Network, Pods, Scheduling, Storage
from planning.settings.sources import OCI, S3

MODELS = "/mnt/models"
"""Where the pods that serve find models, as in the article."""

TOKEN = "token"  # noqa: S105  a Secret's key
EVENTS = k8s.rbac.v1.PolicyRuleArgs(api_groups=[""], resources=["events"], verbs=["create", "patch"])


@dataclass(frozen=True, kw_only=True)
class ModelStoreArgs:
    """What is downloaded, with what, and onto what."""

    image: PodImage
    """The fetch image."""

    model: Model
    storage: Storage
    hardware: Hardware
    scheduling: Scheduling
    pods: Pods
    network: Network
    weights_bytes: int
    """Of all tensors, by the plan; 0 where none is made."""

    token: pulumi.Input[str] | None = None
    """Token of a private repository."""

    @classmethod
    def of(cls, config: StackConfig, plan: Plan, image: PodImage) -> Self:
        """Return the arguments for the model of a stack; `image` is the fetch image."""
        settings = config.settings
        return cls(
            image=image,
            model=settings.model,
            storage=settings.storage,
            hardware=settings.hardware,
            scheduling=settings.scheduling,
            pods=settings.pods,
            network=settings.network,
            weights_bytes=plan.weights_bytes if plan.deployment else 0,
            token=config.model_token,
        )


class ModelStore(pulumi.ComponentResource):
    """Puts one model at one revision on a claim, every byte verified.

    Creates: a PersistentVolumeClaim (unless an existing one is named); two Jobs that mount it or tell why that fails;
    an Indexed Job that downloads, with a ConfigMap of its programs and an account that may write Events, as which it
    shows progress; a ConfigMap into which it writes the model's own sizes; a Secret when a token is given. Waits for:
    the mounted claim, at most `storage.mount_timeout` seconds, then the download, at most `storage.download_timeout`.
    Gives: `claim_name`, `model_path` (where serving pods see the model), `model_folder` (where it lies on the volume)
    and `cache_folder` (where they keep what they compile for it), known in the preview; the last three resolve when the
    weights are verified. Leaves alone: the claim at a destroy, unless `storage.keep` is false; other folders of the
    volume.
    """

    claim_name: pulumi.Output[str]
    model_path: pulumi.Output[str]
    model_folder: pulumi.Output[str]
    cache_folder: pulumi.Output[str]

    def __init__(self, name: str, args: ModelStoreArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("deepseek:index:ModelStore", name, None, opts)
        child = pulumi.ResourceOptions(parent=self)
        self.claim_name = claim(args.storage, child)
        config_map = programs_config_map("download", "weights", programs(_program(args.model)), child)
        mount = MountArgs(
            claim=self.claim_name,
            image=args.image,
            storage=args.storage,
            hardware=args.hardware,
            scheduling=args.scheduling,
            pods=args.pods,
        )
        mount_job = mounted(mount, child)
        download = job(
            "download",
            JobArgs(
                component="download",
                pods=args.pods,
                annotations={
                    MODEL_PATH: f"{MODELS}/{args.model.short_name}",
                    MODEL_FOLDER: model_folder(args.model),
                    CACHE_FOLDER: cache_folder(args.model),
                    "pulumi.com/replaceUnready": "true",
                },
                spec={
                    "completionMode": "Indexed",
                    "completions": args.storage.download_pods,
                    "parallelism": args.storage.download_pods,
                    # The program itself tries for half an hour without a new byte; a drained node does not count.
                    # Pulumi waits on where a rule fails the Job at once: its provider (4.25) knows a failed Job by
                    # BackoffLimitExceeded and DeadlineExceeded only.
                    "backoffLimit": 3,
                    "podFailurePolicy": ONCE["podFailurePolicy"],
                },
                pod=_download_pod(args, config_map, handed_on(mount_job, CLAIM), child),
                timeout_seconds=args.storage.download_timeout,
            ),
            pulumi.ResourceOptions.merge(child, pulumi.ResourceOptions(depends_on=[mount_job])),
        )
        self.model_path = handed_on(download, MODEL_PATH)
        self.model_folder = handed_on(download, MODEL_FOLDER)
        self.cache_folder = handed_on(download, CACHE_FOLDER)
        self.register_outputs(
            {
                "claim_name": self.claim_name,
                "model_path": self.model_path,
                "model_folder": self.model_folder,
                "cache_folder": self.cache_folder,
            }
        )


def _program(model: Model) -> str:
    """Return the program that puts the model onto the claim, by its path below `images/`."""
    if model.folder:
        return "fetch/adopt"
    return {S3: "fetch/s3/fetch_s3", OCI: "fetch/oci/fetch_oci"}.get(model.source, "fetch/fetch")


def _download_pod(
    args: ModelStoreArgs, config_map: pulumi.Input[str], claim: pulumi.Input[str], opts: pulumi.ResourceOptions
) -> Manifest:
    settings = {
        "MODEL_REPOSITORY": args.model.repository,
        "MODEL_REVISION": args.model.revision,
        "MODEL_DIRECTORY": f"{VOLUME}/{model_folder(args.model)}",
        "CACHE_DIRECTORY": f"{VOLUME}/{cache_folder(args.model)}",
        "VOLUME": VOLUME,
        "VERIFY": args.storage.verify,
        "DOWNLOAD_PODS": str(args.storage.download_pods),
        **({"PLANNED_WEIGHTS_BYTES": str(args.weights_bytes)} if args.weights_bytes else {}),
    }
    pod = program_pod(
        _program(args.model).rpartition("/")[2],
        image=args.image,
        scheduling=args.scheduling,
        config_map=config_map,
        service_account=service_account("download", "weights", [EVENTS, WRITE], opts),
        variables=[
            *environment(settings),
            field_variable("JOB_NAME", "metadata.labels['batch.kubernetes.io/job-name']"),
            field_variable("JOB_UID", "metadata.labels['batch.kubernetes.io/controller-uid']"),
            *_token_variable(None if args.model.folder else args.token, opts),
        ],
    )
    mount_weights(pod, claim, VOLUME)
    write_facts(pod, args.model, opts)
    use_site_network(pod, args.network)
    return pod | beside_the_volume(args.storage)


def _token_variable(token: pulumi.Input[str] | None, opts: pulumi.ResourceOptions) -> list[Manifest]:
    if token is None:
        return []
    secret = k8s.core.v1.Secret(
        "model-token",
        metadata=metadata("model-token", "weights"),
        string_data={TOKEN: token},
        opts=opts,
    )
    return [secret_variable("MODEL_TOKEN", secret.metadata["name"], TOKEN)]

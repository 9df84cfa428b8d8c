"""The claim of the weights, and two Jobs before the long one: one mounts the claim, the other says why it cannot."""

from dataclasses import dataclass

import pulumi
import pulumi_kubernetes as k8s

from components.shared.jobs import ONCE, JobArgs, job, job_name
from components.shared.labels import CLAIM, metadata
from components.shared.placement import first_at_the_volume, ray_nodes
from components.shared.pods import Manifest, PodImage, environment, field_variable, mount_weights, program_pod
from components.shared.programs import programs, programs_config_map
from components.shared.service_account import service_account
from planning.settings.sections import Hardware, Pods, Scheduling, Storage

VOLUME = "/volume"
"""Where the Jobs of the store mount the whole claim."""

MARGIN_SECONDS = 120
"""How much longer the Jobs may take than the program that tells why: its pod has to start first; then it ends both."""


@dataclass(frozen=True, kw_only=True)
class MountArgs:
    """Which claim is mounted, with what, and how long that may take."""

    claim: pulumi.Input[str]
    image: PodImage
    storage: Storage
    hardware: Hardware
    scheduling: Scheduling
    pods: Pods


def claim(storage: Storage, opts: pulumi.ResourceOptions) -> pulumi.Output[str]:
    """Create the claim, unless an existing one is named; return its name at once, whether it is bound or not."""
    if storage.existing_claim:
        return pulumi.Output.from_input(storage.existing_claim)
    created = k8s.core.v1.PersistentVolumeClaim(
        "weights",
        # The provider would wait 5 minutes and give no reason; `mounted` waits as long as configured and tells why.
        metadata=metadata(claim_name(storage), "weights", {"pulumi.com/skipAwait": "true"}),
        spec=k8s.core.v1.PersistentVolumeClaimSpecArgs(
            access_modes=[storage.access_mode],
            storage_class_name=storage.storage_class,
            resources=k8s.core.v1.VolumeResourceRequirementsArgs(requests={"storage": storage.size or ""}),
        ),
        opts=pulumi.ResourceOptions.merge(opts, pulumi.ResourceOptions(retain_on_delete=storage.keep)),
    )
    return created.metadata["name"]


def claim_name(storage: Storage) -> str:
    """Return the name of the stack's claim: one for each class and access mode, which a kept claim cannot change."""
    mode = {"ReadWriteMany": "rwx", "ReadWriteOnce": "rwo"}[storage.access_mode]
    return "-".join(part for part in ("weights", storage.storage_class, mode) if part)


def mounted(args: MountArgs, opts: pulumi.ResourceOptions) -> k8s.batch.v1.Job:
    """Create the Job that hands on the claim's name once a pod has mounted it and may write there.

    It takes a pod: a class that waits for its first consumer makes no volume before there is one.
    """
    mount = JobArgs(
        component="mount",
        annotations={CLAIM: args.claim, "pulumi.com/replaceUnready": "true"},
        spec=ONCE,
        pods=args.pods,
        pod=_mount_pod(args, programs_config_map("mount", "weights", programs("fetch/mount"), opts)),
        timeout_seconds=args.storage.mount_timeout + MARGIN_SECONDS,
    )
    mount_job = job_name("mount", mount)
    config_map = programs_config_map("claim", "weights", programs("fetch/claim"), opts)

    def telling(account: pulumi.Input[str]) -> JobArgs:
        return JobArgs(
            component="claim",
            annotations={"pulumi.com/replaceUnready": "true"},
            spec=ONCE,
            pods=args.pods,
            pod=_claim_pod(args, mount_job, config_map, account),
            timeout_seconds=args.storage.mount_timeout + MARGIN_SECONDS,
        )

    rules = _rules(args.claim, mount_job, job_name("claim", telling("claim")))
    job("claim", telling(service_account("claim", "weights", rules, opts)), opts)
    return job("mount", mount, opts)


def _rules(
    claim: pulumi.Input[str], mount_job: pulumi.Input[str], own_job: pulumi.Input[str]
) -> list[k8s.rbac.v1.PolicyRuleArgs]:
    """Return what the modules claim and own_deadline of images/ ask for."""
    rule = k8s.rbac.v1.PolicyRuleArgs
    return [
        rule(api_groups=[""], resources=["persistentvolumeclaims"], resource_names=[claim], verbs=["get"]),
        rule(api_groups=[""], resources=["pods", "events"], verbs=["list"]),
        rule(api_groups=["batch"], resources=["jobs"], resource_names=[mount_job], verbs=["get", "patch"]),
        rule(api_groups=["batch"], resources=["jobs"], resource_names=[own_job], verbs=["get", "patch"]),
    ]


def _mount_pod(args: MountArgs, config_map: pulumi.Input[str]) -> Manifest:
    pod = program_pod(
        "mount",
        image=args.image,
        scheduling=args.scheduling,
        config_map=config_map,
        service_account="default",
        variables=environment({"VOLUME": VOLUME}),
    )
    pod["automountServiceAccountToken"] = False
    mount_weights(pod, args.claim, VOLUME)
    nodes = {**args.image.node_labels, **ray_nodes(args.hardware, args.scheduling)}
    return pod | first_at_the_volume(args.storage, args.scheduling, nodes)


def _claim_pod(
    args: MountArgs, mount_job: pulumi.Input[str], config_map: pulumi.Input[str], account: pulumi.Input[str]
) -> Manifest:
    variables: dict[str, pulumi.Input[str]] = {
        "CLAIM": args.claim,
        "MOUNT_JOB": mount_job,
        "TIMEOUT_SECONDS": str(args.storage.mount_timeout),
    }
    return program_pod(
        "claim",
        image=args.image,
        scheduling=args.scheduling,
        config_map=config_map,
        service_account=account,
        variables=[
            *environment(variables),
            field_variable("CLAIM_JOB", "metadata.labels['batch.kubernetes.io/job-name']"),
        ],
    )

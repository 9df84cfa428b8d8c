"""What is looked at before anything is created: a stack that cannot run is refused here, with every reason at once."""

from collections.abc import Iterator

import pulumi
from kubernetes import client

from components.preflight.gpu_nodes import node_warnings
from components.preflight.ownership import taken_over
from components.preflight.pod_refusals import has_ray_cluster, refusals
from components.preflight.prerequisites import missing
from components.preflight.ray_cluster_refusals import ray_cluster_refusals
from components.preflight.stack_name import unusable_name
from components.preflight.volume_place import capacity_warnings, held_elsewhere, volume_warnings
from components.shared.cluster_api import UnreachableError, connected
from components.shared.refusal import refuse
from components.stack_config import StackConfig
from planning.plan import Plan, make_plan
from planning.problems import Problem, Refused
from planning.settings.sections import StackSettings


def preflight(config: StackConfig) -> Plan:
    """Return the plan of a stack that fits and whose cluster has what it needs.

    A preview without a reachable cluster warns, because the plan can be reviewed without one; an `up` is refused.
    Raises pulumi.RunError or ends the process (`refuse`), with a text that is all that the person sees.
    """
    plan = make_plan(config.settings)
    problems = [*unusable_name(), *plan.problems]
    for warning in plan.warnings:
        pulumi.warn(warning)
    if pulumi.runtime.is_dry_run() and not problems:
        for hint in plan.hints:
            pulumi.info(hint)
    try:
        with connected(config.kubeconfig, config.context) as api:
            problems += missing(api, config.namespace, config.settings)
            problems += taken_over(api, config.namespace, config.settings)
            problems += _refused_pods(api, config.namespace, config.settings)
            problems += held_elsewhere(api, config.namespace, config.settings)
            if config.settings.serving.engines:
                problems += ray_cluster_refusals(api, config.namespace, config.settings)
                for warning in _warnings(api, config, plan):
                    pulumi.warn(warning)
    except UnreachableError as reason:
        if not pulumi.runtime.is_dry_run():
            refuse(f"the cluster cannot be reached: {reason}")
        pulumi.warn(f"the cluster was not checked, because it cannot be reached: {reason}")
    if problems:
        refuse(str(Refused(problems)))
    return plan


def _warnings(api: client.ApiClient, config: StackConfig, plan: Plan) -> Iterator[str]:
    yield from node_warnings(api, config.namespace, config.settings)
    yield from volume_warnings(api, config.namespace, config.settings)
    yield from capacity_warnings(api, config.namespace, config.settings, plan.disk_bytes)


def _refused_pods(api: client.ApiClient, namespace: str, settings: StackSettings) -> Iterator[Problem]:
    """Return why an `up` would wait for pods in vain; warn where it may not, because a stack runs or others may end."""
    found = list(refusals(api, namespace, settings))
    runs = bool(found) and has_ray_cluster(api, namespace)
    for refusal in found:
        if refusal.lasting and not runs:
            yield refusal.problem
        elif refusal.lasting or (pulumi.runtime.is_dry_run() and not runs):
            pulumi.warn(str(refusal.problem))
        elif not runs:
            yield refusal.problem

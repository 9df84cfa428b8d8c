"""Admission: a stack that cannot run is refused here, with every reason at once, before anything is created."""

import pulumi

from components.prerequisites import Cluster, UnreachableError, missing, unplanned_nodes
from components.stack_config import StackConfig
from planning.plan import Plan, make_plan
from planning.problems import Refused


def admit(config: StackConfig) -> Plan:
    """Return the plan of a stack that fits and whose cluster has what it needs.

    A preview without a reachable cluster warns, because the plan can be reviewed without one; an `up` is refused.
    Raises pulumi.RunError, whose text is all that the person sees.
    """
    plan = make_plan(config.settings)
    problems = list(plan.problems)
    for warning in plan.warnings:
        pulumi.warn(warning)
    try:
        cluster = Cluster(config.kubeconfig, config.context, config.namespace)
        problems += missing(cluster, config.settings)
        if odd := unplanned_nodes(cluster, config.settings):
            pulumi.warn(odd)
    except UnreachableError as reason:
        if not pulumi.runtime.is_dry_run():
            raise pulumi.RunError(f"the cluster cannot be reached: {reason}") from None
        pulumi.warn(f"the cluster was not checked, because it cannot be reached: {reason}")
    if problems:
        raise pulumi.RunError(str(Refused(problems)))
    return plan

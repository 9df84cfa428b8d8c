"""Benchmark: the Job that measures how fast the served model answers, at the end of an `up`."""

from collections.abc import Mapping
from typing import Any

import pulumi
import pulumi_kubernetes as k8s

from components.benchmark.args import BenchmarkArgs
from components.benchmark.benchmark_pod import benchmark_pod
from components.shared.jobs import ONCE, JobArgs, job
from components.shared.programs import programs, programs_config_map
from components.shared.result import Place, result_after, written_config_map
from components.shared.service_account import service_account

COMPONENT = "benchmark"
MARGIN_SECONDS = 300
"""The program's own bound comes before its Job's deadline, which would delete the pod and its message."""


class Benchmark(pulumi.ComponentResource):
    """Measures the served model by a bounded load through its Service.

    Creates: a Job with a ConfigMap of its programs, a ConfigMap that keeps the result, and an account that may get and
    patch that one. Waits for: the Job, at most `benchmark.timeout` seconds. It is replaced with the gate, so
    that it measures again whatever is served anew. Gives: `result`, as it was measured by the last `up` that did.
    Leaves alone: what serves, whatever comes of the measurement.
    """

    result: pulumi.Output[Mapping[str, Any]]

    def __init__(self, name: str, args: BenchmarkArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("deepseek:index:Benchmark", name, None, opts)
        child = pulumi.ResourceOptions(parent=self)
        kept = written_config_map(f"{name}-result", COMPONENT, child)
        may_write = k8s.rbac.v1.PolicyRuleArgs(
            api_groups=[""], resources=["configmaps"], resource_names=[f"{name}-result"], verbs=["get", "patch"]
        )
        programs_of_it = programs_config_map(name, COMPONENT, programs("ray-vllm/programs/benchmark/benchmark"), child)
        account = service_account(name, COMPONENT, [may_write], child)
        measured = job(
            name,
            JobArgs(
                component=COMPONENT,
                pods=args.pods,
                annotations={"pulumi.com/replaceUnready": "true"},
                spec=ONCE,
                pod=benchmark_pod(args, result=f"{name}-result", config_map=programs_of_it, service_account=account),
                timeout_seconds=args.benchmark.timeout + MARGIN_SECONDS,
            ),
            pulumi.ResourceOptions.merge(
                child,
                pulumi.ResourceOptions(depends_on=[kept], replace_with=[args.gate], delete_before_replace=True),
            ),
        )
        place = Place(
            config_map=f"{name}-result",
            namespace=args.namespace,
            kubeconfig=args.kubeconfig,
            context=args.context,
            of_before=("tokensPerSecond", "measuredAt"),
        )
        self.result = result_after(measured, measured, place).apply(lambda found: _told(found, args.predicted))
        self.register_outputs({"result": self.result})


def _told(found: Mapping[str, Any], predicted: float | None) -> Mapping[str, Any]:
    """Return the result with what the plan predicts for this load; warn where nothing was measured."""
    if "problem" in found and not pulumi.runtime.is_dry_run():
        pulumi.warn(f"benchmark: {found['problem']}")
    return found if predicted is None else {**found, "predictedTokensPerSecond": predicted}

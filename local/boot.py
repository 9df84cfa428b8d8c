"""From an empty machine to a cluster for the `dev` stack: packages, builds, images, cluster, tiny model."""

import sys
from pathlib import Path

from local import paths, versions
from local.building import builds
from local.building.programs import FOR_SIMULATED_NODES, FOR_THE_REAL_NODE, LINT_PROGRAMS
from local.cluster import cluster, namespace
from local.images import base_images, proxy_image, registry
from local.machine import debian, preconditions
from local.steps import Step, StepLog, run_steps

PACKAGES = "Debian packages"
TINY_MODEL = paths.CHECKOUT / "local" / "tiny-model"


class CannotWork(Exception):
    """This machine is not fit for the embedded cluster; the text has every reason with what to do."""


def boot(stack_namespace: str, *, again: str) -> None:
    """Have all of it; what is there already is only verified. Raises CannotWork, StepsFailed."""
    to_build = not builds.complete(FOR_THE_REAL_NODE)
    if not cluster.is_up():
        _refuse_unfit_machine(to_build=to_build or not paths.REGISTRY_STORAGE.exists())
    build_steps = builds.build_steps(FOR_THE_REAL_NODE) if to_build else []
    programs = tuple(step.name for step in build_steps[:2])  # the cluster's and kube-router; pulumi comes later
    images = registry.client(registry.load_password())
    run_steps(
        [
            Step(name=PACKAGES, action=debian.install_packages),
            *build_steps,
            *cluster.steps(packages=(PACKAGES,), programs=programs),
            Step(
                name="base images",
                action=lambda log: base_images.make_base_images(images, log),
                needs=("registry",),
            ),
            Step(
                name="HAProxy image",
                action=lambda log: proxy_image.make_proxy_image(images, log),
                needs=("base images",),
            ),
            Step(
                name="BuildKit image",
                action=lambda log: base_images.make_buildkit_image(images, log),
                needs=("base images", *programs),
            ),
            Step(
                name="tiny model",
                action=lambda log: _apply_tiny_model(stack_namespace, log),
                needs=("base images", "node", "storage"),
            ),
        ],
        logs=paths.LOGS,
        again=again,
    )


def build_for_simulation(*, again: str) -> None:
    """Have the programs that the simulated cluster of the tests needs. Raises StepsFailed."""
    steps = [Step(name=PACKAGES, action=debian.install_packages)]
    if not builds.complete(FOR_SIMULATED_NODES):
        steps += builds.build_steps(FOR_SIMULATED_NODES)
    run_steps(steps, logs=paths.LOGS, again=again)


def build_linters(*, again: str) -> None:
    """Have the linters that are Go programs: a minute the first time. Raises StepsFailed."""
    if builds.missing(LINT_PROGRAMS):
        linters = Step(name="build the linters", action=lambda log: builds.build(LINT_PROGRAMS, log))
        drop = Step(name="drop the Go build cache", action=builds.drop_build_cache, needs=(linters.name,))
        # A cache that is there already belongs to a build of the cluster's programs, which goes on or was cut off.
        run_steps([linters] if paths.GO_BUILD_CACHE.exists() else [linters, drop], logs=paths.LOGS, again=again)


def install_servers(*, again: str) -> None:
    """Have the servers and programs of Debian that tests run. Raises StepsFailed."""
    step = Step(name=PACKAGES, action=lambda log: debian.install_packages(log, versions.TEST_PACKAGES))
    run_steps([step], logs=paths.LOGS, again=again)


def _refuse_unfit_machine(*, to_build: bool) -> None:
    machine = preconditions.inspect_machine(python=sys.version_info[:2])
    problems = preconditions.find_problems(machine, ports=cluster.wanted_ports(), to_build=to_build)
    problems += cluster.find_problems()
    if problems:
        raise CannotWork("\n  - ".join(["The cluster cannot come up here:", *problems]))


def _apply_tiny_model(stack_namespace: str, log: StepLog) -> str:
    namespace.ensure_namespace(cluster.CONTROL_PLANE.api_server, stack_namespace)
    log.run([*kubectl(stack_namespace), "apply", "-k", TINY_MODEL])
    log.run([*kubectl(stack_namespace), "rollout", "status", "deployment/tiny-model", "--timeout=120s"])
    return f"served in namespace {stack_namespace}"


def kubectl(stack_namespace: str) -> list[str | Path]:
    """The start of a kubectl command in a namespace of the embedded cluster."""
    return [builds.program("kubectl"), f"--kubeconfig={cluster.KUBECONFIG}", f"--namespace={stack_namespace}"]

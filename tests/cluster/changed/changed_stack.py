"""Makes a change of a stack that serves, and notes what the preview showed, what `up` did, and in which order."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pulumi import automation
from pulumi.automation import events

from local import stack
from local.cluster.api_server import ApiServer
from planning.review.preview import OPERATIONS, SAME, STACK_TYPE
from planning.settings.stack_file import PROJECT, SECRETS
from tests.cluster.changed.changes import BUILD_NAMESPACE, Keys, Step
from tests.cluster.world.stack_objects import NAMESPACE, objects, uids
from tests.cluster.world.watched_objects import Moment, wait_until, watched

STACK = "a100-bf16"
SECRET_KEYS = {f"{PROJECT}:{name}" for name in SECRETS}
SETTLED_SECONDS = 120
MESSAGES = ("info", "warning")
"""Severities of what the program tells."""


@dataclass(frozen=True)
class Done:
    """A resource of Kubernetes and what became of it, in the words of planning.review.preview."""

    resource: str
    """Kind and Pulumi's name: `Job serve`."""

    op: str
    """The engine's operation."""

    paths: tuple[str, ...] = ()
    """Properties that differ."""

    @property
    def operation(self) -> str:
        return OPERATIONS.get(self.op, self.op)


@dataclass(frozen=True)
class Run:
    """A preview or an `up`: the engine's steps as they ended, the stack's outputs before and after, its messages."""

    steps: Sequence[Done]
    outputs_before: Mapping[str, Any]
    outputs_after: Mapping[str, Any]
    messages: frozenset[str]
    """Of the plan, in a preview also its hints."""

    @property
    def operations(self) -> dict[str, str]:
        """What becomes of each resource that does not stay as it is."""
        return {step.resource: step.operation for step in self.steps if step.operation != SAME}

    @property
    def outputs(self) -> list[str]:
        """The outputs that differ, those of the plan one by one."""
        before, after = _flat(self.outputs_before), _flat(self.outputs_after)
        return sorted(key for key in before.keys() | after.keys() if before.get(key) != after.get(key))


@dataclass(frozen=True)
class Changed:
    """What a change did."""

    step: Step
    previewed: Run
    done: Run
    before: Mapping[tuple[str, str], Any]
    after: Mapping[tuple[str, str], Any]
    """Objects of the namespace by kind and name."""

    moments: Sequence[Moment]
    told: bool
    """Whether the preview told something else than one before the change; only where nothing else differs."""


class ChangedStack:
    """One stack on a simulated cluster, whose configuration goes from change to change."""

    def __init__(self, api: ApiServer, kubeconfig: Path, folder: Path) -> None:
        self._api, self._kubeconfig, self._folder = api, kubeconfig, folder
        self._keys: Keys | None = None

    def at(self, keys: Keys) -> automation.Stack:
        """Return the stack with these keys, up and settled."""
        selected = self.selected(keys)
        if self._keys != keys:
            selected.up()
            self._keys = keys
            self.settle()
        return selected

    def make(self, step: Step) -> Changed:
        """Preview and make one change of a stack that serves."""
        self.at(step.before)
        before = self._objects()
        selected = self.selected(step.after)
        previewed = run(selected.preview)
        with watched(self._api) as moments:
            self._keys = None
            done = run(selected.up)
            self._keys = step.after
            self.settle()
        nothing_differs = not (done.operations or done.outputs)
        told = nothing_differs and run(self.selected(step.before).preview).messages != previewed.messages
        return Changed(step, previewed, done, before, self._objects(), moments, told=told)

    def _objects(self) -> dict[tuple[str, str], Any]:
        """Return the objects of the stack's namespace, and of the one in which a change lets it build."""
        return objects(self._api, BUILD_NAMESPACE) | objects(self._api)

    def selected(self, keys: Keys) -> automation.Stack:
        """Return the stack with these keys configured."""
        configuration = configured(keys)
        secrets = {key: configuration.pop(key) for key in list(configuration) if key in SECRET_KEYS}
        selected = stack.select(STACK, self._kubeconfig, configuration, self._folder)
        for key, value in secrets.items():
            text = value if isinstance(value, str) else json.dumps(value)
            selected.set_config(key, automation.ConfigValue(text, secret=True))
        return selected

    def end(self) -> None:
        """Destroy the stack, and remove the claims that it keeps."""
        self.selected(self._keys or {}).destroy()
        for name in uids(self._api, "persistentvolumeclaims"):
            self._api.delete(f"/api/v1/namespaces/{NAMESPACE}/persistentvolumeclaims/{name}")

    def settle(self) -> None:
        """Wait until the Ray pods that the RayCluster asks for run, and none but those and the supervisor's.

        In a pause there is no RayCluster, and there are no such pods.
        """
        wait_until(self._has_settled, SETTLED_SECONDS)

    def _has_settled(self) -> bool:
        found = objects(self._api)
        if any("deletionTimestamp" in item["metadata"] for item in found.values()):
            return False
        pods = [item for (kind, _), item in found.items() if kind == "pods"]
        ray = [pod for pod in pods if "ray.io/cluster" in pod["metadata"]["labels"]]
        clusters = [item for (kind, _), item in found.items() if kind == "rayclusters"]
        groups = [group for cluster in clusters for group in cluster["spec"].get("workerGroupSpecs", ())]
        wanted = len(clusters) + sum(group["replicas"] for group in groups)
        serving = [pod for pod in pods if pod["metadata"]["labels"].get("app.kubernetes.io/component") == "serving"]
        running = [pod for pod in (*ray, *serving) if pod["status"]["phase"] == "Running"]
        return len(ray) == wanted and len(serving) == len(clusters) and len(running) == wanted + len(clusters)


def configured(keys: Keys) -> dict[str, Any]:
    """Return the configuration of the article's stack with these keys."""
    configuration = stack.configuration(STACK)
    for key, value in keys.items():
        section, _, name = key.partition(".")
        section = f"{PROJECT}:{section}"
        configuration[section] = configuration.get(section, {}) | {name: value} if name else value
    return configuration


def run(command: Callable[..., Any]) -> Run:
    """Run a preview or an `up`, and note its steps, outputs and messages."""
    steps: list[Done] = []
    messages: set[str] = set()
    stacks: list[events.StepEventMetadata] = []

    def note(event: automation.EngineEvent) -> None:
        if (said := event.diagnostic_event) and said.severity in MESSAGES:
            messages.add(said.message)
        if ended := event.res_outputs_event:
            metadata = ended.metadata
            if metadata.type == STACK_TYPE:
                stacks.append(metadata)
            elif metadata.type.startswith("kubernetes:"):
                resource = f"{metadata.type.rpartition(':')[2]} {metadata.urn.split('::', 3)[3]}"
                steps.append(Done(resource, metadata.op.value, tuple(metadata.detailed_diff or ())))

    command(on_event=note)
    [*_, last] = stacks
    return Run(steps, _outputs(last.old), _outputs(last.new), frozenset(messages))


def _outputs(state: events.StepEventStateMetadata | None) -> Mapping[str, Any]:
    return dict(state.outputs) if state and state.outputs else {}


def _flat(outputs: Mapping[str, Any]) -> dict[str, Any]:
    plan: Mapping[str, Any] = outputs.get("plan", {})
    return {**{f"plan: {key}": value for key, value in plan.items()}, **outputs, "plan": None}

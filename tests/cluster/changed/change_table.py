"""The table of docs/changes.md: what each change shows and does, in words, from what was measured."""

import itertools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from components.monitoring.targets import ALL
from planning.review.preview import CREATED, DELETED, REPLACED, UPDATED
from planning.settings.reference import SECRET_KEYS, on_one_line
from planning.settings.schema import Json, settings_schema
from planning.settings.stack_file import PROJECT
from tests.cluster.changed.changed_stack import Changed, Done, configured
from tests.cluster.changed.changes import Step

BEGINS = {"create", "create-replacement"}
ENDS = {"delete", "delete-replaced"}
CLUSTER, SERVE, GATE, DOWNLOAD = "RayCluster deepseek", "Job serve", "Job gate", "Job download"
FETCH, SERVING_IMAGE = "Job build-fetch", "Job build-ray-vllm"
PROXIES, COUNTER = "Deployment deepseek-endpoint", "Deployment deepseek-endpoint-limits"
CLAIM, REMOVE = "PersistentVolumeClaim weights", "Job remove"
TURNS = ("cluster", "serve")
METRICS = (
    "PrometheusRule deepseek",
    "PrometheusRule deepseek-serving",
    "ConfigMap deepseek-dashboard",
    *(f"PodMonitor deepseek-{target.name}" for target in ALL),
    *(f"Service deepseek-metrics-{target.name}" for target in ALL),
)
COMPONENTS = ("image", "claim", "download", "ray", "serving", "gate", "endpoint")
"""Those whose NetworkPolicies keys of `network` and `monitoring` change."""


@dataclass(frozen=True)
class Act:
    """Something that an `up` does, in the words of the table, and by which of the engine's steps it is known."""

    text: str
    ops: frozenset[str]
    resources: frozenset[str]

    def steps(self, done: Sequence[Done]) -> list[int]:
        """Return where in an `up` it stands; nothing where it is not done."""
        return [n for n, step in enumerate(done) if step.op in self.ops and step.resource in self.resources]


def act(text: str, ops: Iterable[str], *resources: str) -> Act:
    return Act(text, frozenset(ops), frozenset(resources))


WORK = (
    act("changes the Secret", {"update"}, "Secret api-key", "Secret model-token"),
    act("makes the Secret", BEGINS, "Secret api-key", "Secret model-token", "Secret deepseek-endpoint-keys"),
    act("builds the download image if the registry lacks it", BEGINS, FETCH),
    act("builds the serving image if the registry lacks it", BEGINS, SERVING_IMAGE),
    act("changes NetworkPolicies", {"update"}, *(f"NetworkPolicy deepseek-{of}" for of in COMPONENTS)),
    act("makes what Prometheus reads", BEGINS, *METRICS),
    act("changes what Prometheus reads", {"update"}, *METRICS),
    act("grows the claim", {"update"}, CLAIM),
    act("makes another claim", BEGINS, CLAIM),
    act("mounts the claim", BEGINS, "Job mount"),
    act("checks the mount", BEGINS, "Job claim"),
    act("downloads the weights that the claim lacks", BEGINS, DOWNLOAD),
    act("changes the bound of finished Jobs", {"update"}, FETCH, SERVING_IMAGE, "Job mount", "Job claim", DOWNLOAD),
)
"""Done before anything that serves is touched; builds and download side by side."""

SERVING = (
    act("starts the pod that counts", BEGINS, COUNTER),
    act("starts the proxies", BEGINS, PROXIES),
    act("replaces the pod that counts", {"update"}, COUNTER),
    act("replaces the proxies one after the other", {"update"}, PROXIES),
    act("changes the Service", {"update"}, "Service deepseek"),
    act("opens the Ingress", BEGINS, "Ingress deepseek"),
    act("opens the HTTPRoute", BEGINS, "HTTPRoute deepseek"),
    act("changes the bound that the supervisor looks up", {"update"}, SERVE),
    act("starts another engine", BEGINS, "RayCluster deepseek-1"),
    act("sees whether the other engines serve", BEGINS, *(f"Job turn-{what}" for what in TURNS)),
    act("ends vLLM", ENDS, SERVE),
    act("ends Ray", ENDS, CLUSTER),
    act("starts Ray", BEGINS, CLUSTER),
    act("starts vLLM", BEGINS, SERVE),
    act("asks the model", BEGINS, GATE),
    act("measures how fast it answers", BEGINS, "Job benchmark"),
    act("removes the other revisions", BEGINS, REMOVE),
)
"""Done one after the other."""

AFTERWARDS = (
    act("leaves the old claim in the cluster", ENDS, CLAIM),
    act("removes what Prometheus read", ENDS, *METRICS),
    act("removes the Secret", ENDS, "Secret api-key", "Secret model-token"),
)
ANEW = "until Ray's nodes have joined and the model is loaded"
RELOADED = "until the model is loaded"
PAUSED = "until `serving.engines` is 1 again"
NONE = "at no time"


INTRODUCTION = """# What a change does

What `pulumi preview` shows and `pulumi up` does when one key of a stack that serves is changed. It was measured by
`python -m tests.recorders.record_changes` on the article's stack, and the tests compare it. Engine, API server and
KubeRay are real, the GPUs simulated. All that takes hours, builds and downloads, is done before anything that serves is
touched. vLLM and Ray have ended, and their GPUs are free, before the next ones start. A claim stays, whatever is
changed, unless `storage.keep` is false.

vLLM lives with the pod of the serving Job, Ray with the pods of the RayCluster. How long a model loads depends on its
size and its storage: minutes to an hour. A change of several keys does what each of them does, the long work first.
Another `kubernetes:namespace` moves the stack: the weights are downloaded onto a claim there before Ray leaves the old
namespace, where the old claim stays.

Headings are of a stack with one engine. The last column is of one with two ([engines.md](engines.md)) on twice the
nodes. Where it says *at no time*, at least one of them serves at every moment, because `up` replaces one after the
other. `tests/cluster/test_changes_of_two_engines.py` makes one change of each kind (all of them in `make test-faults`),
and watches both engines. A kind is what a change touches of builds and downloads, proxies, gate, serving Job and
RayCluster; other changes of it say the same.
"""


def row(changed: Changed) -> str:
    """Return what a change does as a line of five cells; change_page.py groups such lines."""
    cells = (f"`{changed.step}`", example(changed.step), previewed(changed), did(changed), no_service(changed))
    return f"| {' | '.join(cells)} |"


def example(step: Step) -> str:
    """Return the values before and after, of the key and of those that change with it."""
    before, after = configured(step.before), configured(step.after)
    if step.change.key in SECRET_KEYS:
        return "one → another" if step.change.key in step.before else "unset → set"
    texts: list[str] = []
    for key in (step.change.key, *step.change.along):
        old, new = _value(before, key), _value(after, key)
        other = "" if key == step.change.key else f"with `{key}` "
        texts.append(f"{other}{old} → {new}")
    return ", ".join(texts)


def previewed(changed: Changed) -> str:
    """Return what a reviewer sees: resources by what becomes of them, and outputs."""
    operations = changed.previewed.operations
    parts = [
        f"{operation}: {', '.join(resources)}"
        for operation in (CREATED, UPDATED, REPLACED, DELETED)
        if (resources := sorted({_shown(name) for name, what in operations.items() if what == operation}))
    ]
    outputs = sorted({f"`{name.partition(':')[0]}`" for name in changed.previewed.outputs})
    if outputs:
        parts.append(f"output{'s' if len(outputs) > 1 else ''} {', '.join(outputs)}")
    return "; ".join(parts) or "nothing"


def did(changed: Changed) -> str:
    """Return what `up` did, in the order in which it has to be done (`out_of_order` compares)."""
    acts = [item.text for item in (*WORK, *SERVING, *AFTERWARDS) if item.steps(changed.done.steps)]
    return ", ".join(acts) or ("changes the outputs only" if changed.done.outputs else "nothing")


def out_of_order(changed: Changed) -> list[str]:
    """Return which acts began before those that have to be done before them."""
    done = changed.done.steps
    work = [place for item in WORK for place in item.steps(done)]
    acts = [("the work", work), *((item.text, item.steps(done)) for item in SERVING)]
    return [
        f"{later} before the end of: {earlier}"
        for (earlier, before), (later, after) in itertools.combinations(acts, 2)
        if before and after and max(before) > min(after)
    ]


def no_service(changed: Changed) -> str:
    """Return for how long there is no service: by what was replaced of that which serves.

    Of several engines another one serves.
    """
    operations = changed.done.operations
    if changed.step.after.get("serving.engines", 1) > 1:
        return NONE
    if operations.get(CLUSTER) == DELETED:
        return PAUSED
    if operations.get(CLUSTER) == REPLACED:
        return ANEW
    return RELOADED if operations.get(SERVE) == REPLACED else NONE


def effects() -> dict[str, str]:
    """Return what the reference page says that a change of each key does, in its order."""
    of_sections = {key: node["changing"] for key, node in _nodes().items()}
    return of_sections | {key: changing for key, (_, changing) in SECRET_KEYS.items()}


def keys() -> list[str]:
    """Return every key of the stack file as the reference page orders them, secrets last."""
    return list(effects())


@cache
def _nodes() -> dict[str, Json]:
    """Return the schema of each key of the objects, by its name."""
    schema = settings_schema()
    sections = {
        name: schema["$defs"][node["$ref"].rpartition("/")[2]]["properties"]
        for name, node in schema["properties"].items()
    }
    return {f"{name}.{key}": node for name, section in sections.items() for key, node in section.items()}


def _value(configuration: Mapping[str, Any], key: str) -> str:
    section, _, name = key.partition(".")
    value = configuration.get(f"{PROJECT}:{section}", {}).get(name, _nodes()[key].get("default"))
    return "unset" if value is None else f"`{_text(value)}`"


def _text(value: Any) -> str:
    return value if isinstance(value, str) else on_one_line(value)


def _shown(resource: str) -> str:
    kind, _, name = resource.partition(" ")
    return kind if kind in {"RayCluster", "PersistentVolumeClaim"} else f"{kind} `{name}`"

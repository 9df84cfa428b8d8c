"""For how long neither of two engines serves while a change is made: the last column of docs/changes.md, from its rows.

tests/cluster/test_changes_of_two_engines.py makes the changes of `OF_TWO_ENGINES`, at least one of each kind of row.
"""

from collections.abc import Mapping

from tests.cluster.changed.change_table import NONE, PAUSED
from tests.cluster.changed.changed_stack import Changed
from tests.cluster.changed.changes import FINISHED, OF_SEVERAL_ENGINES, Change, Keys, Route, Step
from tests.cluster.world.whole_engines import whole, whole_at_each_moment

RAY = "RayCluster"
TOUCHED: Mapping[str, frozenset[str]] = {
    "builds and downloads": frozenset(
        {
            "builds the download image if the registry lacks it",
            "builds the serving image if the registry lacks it",
            "downloads the weights that the claim lacks",
        }
    ),
    "proxies": frozenset(
        {
            "starts the pod that counts",
            "starts the proxies",
            "replaces the pod that counts",
            "replaces the proxies one after the other",
            "changes the Service",
            "opens the Ingress",
            "opens the HTTPRoute",
        }
    ),
    "gate": frozenset({"asks the model"}),
    "serving Job": frozenset({"ends vLLM"}),
    RAY: frozenset({"ends Ray"}),
}
"""What a change may touch, and by which acts of an `up` (change_table.py) it does."""

ENDED = "until `serving.engines` is not 0: a pause is for all engines"
REFUSED = "refused: "
ONE_NODE = f"{REFUSED}a claim for one node, and Ray pods on two"
NO_PROXIES = f"{REFUSED}nothing divides requests among the engines without the proxies"
NO_NAME = f"{NONE}; between the first and the last turn requests of more than 15 KiB may get HTTP 404"
OTHER_KEY = f"{NONE}; proxies and engines read the key within two minutes, meanwhile requests may get HTTP 401"
NO_KEY = f"{NONE}; until the first turn requests without `apiKey` get HTTP 401"
REASONS: Mapping[str, str] = {
    "`apiKey`": OTHER_KEY,
    "`endpoint.proxy`": NO_PROXIES,
    "`model.name`": NO_NAME,
    "`serving.authentication`": NO_KEY,
    "`storage.accessMode`": ONE_NODE,
}
"""What is to be said of a key beside, or in place of, "at no time"; docs/engines.md explains each."""

OF_TWO_ENGINES = Route(
    "two engines",
    OF_SEVERAL_ENGINES.start,
    (
        Change("serving.engines", 2),
        Change("hardware.pricePerGpuHour", 1.8),
        Change("storage.downloadPods", 2),
        Change("endpoint.accessLog", value=True),
        Change("serving.loadTimeout", "3h"),
        Change("serving.maxModelLen", 32768),
        Change("image.fetchReference", f"{FINISHED}/fetch:1"),
        Change("pods.environment", {"NCCL_IB_GID_INDEX": "3"}),
        Change("model.revision", "reviewed"),
        Change("endpoint.countTokens", value=True),
        Change("scheduling.runAsUser", 2000),
        Change("serving.engines", 0),
        Change("serving.engines", 2),
    ),
)


def with_two_engines(key: str, does: str, without_service: str) -> str:
    """Return for how long neither of two engines serves, from the cells of a row, or why it cannot be at no time."""
    if without_service == PAUSED:
        return ENDED
    if key == "`model.repository`" and RAY in touched(does):
        return NO_NAME
    return REASONS.get(key, NONE)


def touched(does: str) -> frozenset[str]:
    """Return what an `up` touches, from the cell that says what it does."""
    acts = set(does.split(", "))
    return frozenset(part for part, its in TOUCHED.items() if acts & its)


def stopped_all(changed: Changed) -> bool:
    """Whether, of the engines that were whole before a change, none was at some moment of it."""
    moments = whole_at_each_moment(changed.before, changed.moments)
    return bool(whole(changed.before)) and not all(engines for _, engines in moments)


def of_two_engines(step: Step) -> tuple[Keys, Keys]:
    """Return the keys before and after a change, of two engines in place of one, on a claim that takes both."""
    more: Keys = {"serving.engines": 2, "storage.accessMode": "ReadWriteMany"}
    beside = {key: value for key, value in more.items() if key != step.change.key}
    return {**step.before, **beside}, {**step.after, **beside}

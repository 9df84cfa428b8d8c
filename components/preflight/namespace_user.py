"""Whether the namespace lets pods run as the configured user: OpenShift gives each namespace a range of users."""

import re
from collections.abc import Iterator, Mapping

from planning.problems import Problem, fixable
from planning.settings.sections import Scheduling

KEY = "scheduling.runAsUser"
RANGES = {
    "openshift.io/sa.scc.uid-range": "users",
    "openshift.io/sa.scc.supplemental-groups": "groups",
}
"""Annotations of a namespace, and what each bounds, for OpenShift's policies (SCC) about runAsUser and fsGroup."""


def outside_the_range(annotations: Mapping[str, str], scheduling: Scheduling) -> Iterator[Problem]:
    """Return whether the configured user is outside the namespace's ranges, with a user that is inside."""
    user = scheduling.run_as_user
    for annotation, what in RANGES.items():
        ranges = list(_ranges(annotations.get(annotation, "")))
        if ranges and not any(first <= user <= last for first, last in ranges):
            spelled = ", ".join(f"{first} to {last}" for first, last in ranges)
            text = f"{user} is not among the {what} of the namespace, {spelled} ({annotation})"
            yield fixable(KEY, text, {KEY: ranges[0][0]})
            return


def _ranges(text: str) -> Iterator[tuple[int, int]]:
    """Read `1000650000/10000` (first and count) and `1000650000-1000659999`, of which there may be several."""
    for first, separator, second in re.findall(r"(\d+)([/-])(\d+)", text):
        yield int(first), int(first) + int(second) - 1 if separator == "/" else int(second)

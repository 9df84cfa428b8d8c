"""Which nodes a rule about labels allows, as Kubernetes writes it for pods and for volumes."""

# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# The Kubernetes client's lists have no types.

from collections.abc import Mapping, Sequence

from kubernetes import client


def allows(rule: client.V1NodeSelector, labels: Mapping[str, str]) -> bool:
    """Whether a node with these labels meets one of the rule's terms. Other rules count as met."""
    return any(
        all(_holds(part.operator, labels.get(part.key), part.values or []) for part in term.match_expressions or [])
        for term in rule.node_selector_terms
    )


def described(rule: client.V1NodeSelector) -> str:
    """Return `topology.kubernetes.io/zone in (eu-1a)` and the like, for people."""
    return ", or ".join(
        " and ".join(
            f"{part.key} {part.operator}" + (f" ({', '.join(part.values)})" if part.values else "")
            for part in term.match_expressions or []
        )
        for term in rule.node_selector_terms
    )


def _holds(operator: str, value: str | None, values: Sequence[str]) -> bool:
    """Whether a label's value is one that is allowed. Comparisons of numbers count as met."""
    if operator in ("In", "NotIn"):
        return (value in values) == (operator == "In")
    if operator in ("Exists", "DoesNotExist"):
        return (value is not None) == (operator == "Exists")
    return True

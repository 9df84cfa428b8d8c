"""The account of a Job that asks the API server something: it may do what is listed here and nothing else."""

from collections.abc import Sequence

import pulumi
import pulumi_kubernetes as k8s

from components.shared.labels import metadata


def service_account(
    name: str, component: str, rules: Sequence[k8s.rbac.v1.PolicyRuleArgs], opts: pulumi.ResourceOptions
) -> pulumi.Output[str]:
    """Create a ServiceAccount with a Role of `rules` in its namespace; return its name once the Role is bound."""
    described = metadata(name, component)
    account = k8s.core.v1.ServiceAccount(f"{name}-account", metadata=described, opts=opts)
    role = k8s.rbac.v1.Role(f"{name}-role", metadata=described, rules=rules, opts=opts)
    binding = k8s.rbac.v1.RoleBinding(
        f"{name}-role-binding",
        metadata=described,
        role_ref=k8s.rbac.v1.RoleRefArgs(
            api_group="rbac.authorization.k8s.io", kind="Role", name=role.metadata["name"]
        ),
        subjects=[k8s.rbac.v1.SubjectArgs(kind="ServiceAccount", name=account.metadata["name"])],
        opts=opts,
    )
    return binding.subjects.apply(lambda subjects: subjects[0].name)

"""Findings in the manifests that stay, each with its reason."""

from collections.abc import Iterable

from tests.lint.manifests import Finding

EVERYWHERE = ""
BUILD, RAY, DOWNLOAD, SUPERVISOR, PROXY = "build", "ray", "fetch", "supervisor", "haproxy"

DISK = "container-ephemeral-storage-request-and-limit"
READ_ONLY = "container-security-context-readonlyrootfilesystem"
WRITABLE = "The pod has a container with a writable root filesystem"

WAIVED: dict[tuple[str, str, str], str] = {
    ("container-resources", EVERYWHERE, "CPU limit is not set"): (
        "A CPU limit throttles: a throttled rank stalls all others, and a throttled download or probe runs out of time."
    ),
    ("container-image-pull-policy", EVERYWHERE, "ImagePullPolicy is not set to Always"): (
        "A tag is a hash of what the image is made of, so it never moves. With `Always`, no pod would start while the "
        "registry is away."
    ),
    ("container-security-context-user-group-id", EVERYWHERE, "The container is running with a low user ID"): (
        "1000 is the `ray` user of the rayproject/ray images. All pods share it, because one writes the weights and "
        "the others read them."
    ),
    ("container-security-context-user-group-id", EVERYWHERE, "The container running with a low group ID"): (
        "As for the user ID."
    ),
    ("image-by-tag", EVERYWHERE, "the image is named by a tag"): (
        "The tag of an image that is built here is a hash of what goes into it; its digest is known after the build "
        "only. The stack file can name the images that others make by digest."
    ),
    (READ_ONLY, RAY, WRITABLE): (
        "Ray, vLLM and Triton write below /tmp and the home of the user."
    ),
    ("secret-in-variable", SUPERVISOR, "RAY_AUTH_TOKEN comes from a Secret"): (
        "KubeRay hands Ray's own processes the same token in this variable; it opens this stack's Ray cluster only."
    ),
    ("secret-in-variable", DOWNLOAD, "MODEL_TOKEN comes from a Secret"): (
        "git takes the token from this variable through a credential helper, so that it stands in no argument and no "
        "file. The pod runs nothing but the download, and ends with it."
    ),
    (READ_ONLY, BUILD, WRITABLE): "BuildKit keeps its sockets and mounts below /run and /tmp.",
    ("container-seccomp-profile", BUILD, "The container has not configured Seccomp"): (
        "A privileged container runs without a profile, whatever it asks for."
    ),
    ("pod-probes", "pod of ray", "Container is missing a livenessProbe"): (
        "KubeRay adds one, which watches Ray; the pods that the API server has pass."
    ),
    ("pod-probes", "Deployment of endpoint", "Container is missing a livenessProbe"): (
        "A proxy that fails ends by itself. A probe that restarts one which is slow would cut answers of an hour."
    ),
    ("container-security-context-privileged", BUILD, "The container is privileged"): (
        "BuildKit mounts file systems to run the steps of a Dockerfile; components/image/build_pod.py tells more."
    ),
}  # fmt: skip

OF_KUBERAY = "wait-gcs-ready"
IN_THE_CLUSTER: dict[tuple[str, str, str], str] = {
    ("secret-in-variable", RAY, "RAY_AUTH_TOKEN comes from a Secret"): (
        "KubeRay hands Ray its token so; it opens this stack's Ray cluster only."
    ),
    ("secret-in-variable", OF_KUBERAY, "RAY_AUTH_TOKEN comes from a Secret"): "As for the container that runs Ray.",
    (READ_ONLY, OF_KUBERAY, WRITABLE): "KubeRay gives this container the security context of the one that runs Ray.",
    (DISK, OF_KUBERAY, "Ephemeral Storage request is not set"): (
        "KubeRay sets its bounds. It writes nothing, and has ended before Ray starts."
    ),
    (DISK, OF_KUBERAY, "Ephemeral Storage limit is not set"): "As for the request.",
    ("secret-in-variable", PROXY, "INNER_KEY comes from a Secret"): (
        "HAProxy puts vLLM's key into a header from its environment. The pod runs nothing else, and reads no key again."
    ),
    ("pod-probes", "pod of endpoint", "Container is missing a livenessProbe"): "As for the Deployment.",
    ("pod-probes", "pod of serving", "Container is missing a livenessProbe"): (
        "Its Service is for the proxies, which ask it each second. The supervisor ends when it fails, and its Job "
        "starts another; a probe that ends a slow one would take the watch from vLLM."
    ),
    ("pod-probes-identical", "pod of ray", "Container has the same readiness and liveness probe"): (
        "KubeRay gives a worker both; they ask Ray. Clients reach the head only, whose readiness is its own."
    ),
    ("networkpolicy-targets-pod", "NetworkPolicy of remove", "The NetworkPolicys selector doesn't match any pods"): (
        "That pod runs where `storage.otherRevisions` is `remove`, and its policy has to be there before it."
    ),
}  # fmt: skip
"""What only the objects have that the API server has: what KubeRay adds, and a policy whose pod does not run."""


def waived(found: Finding) -> tuple[str, str, str] | None:
    """Return the waiver that covers a finding."""
    keys = ((found.check, subject, found.text) for subject in (found.subject, EVERYWHERE))
    return next((key for key in keys if key in WAIVED or key in IN_THE_CLUSTER), None)


def unwaived(found: Iterable[Finding]) -> list[Finding]:
    """Return the findings that stand without a reason."""
    return sorted(item for item in found if waived(item) is None)


def stale(found: Iterable[Finding]) -> list[str]:
    """Return the waivers that cover nothing any more."""
    used = {waived(item) for item in found}
    return [" ".join(filter(None, key)) for key in WAIVED if key not in used]

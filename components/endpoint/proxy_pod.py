"""The pods of the door: HAProxy as an ordinary user, which finishes the answers under way before it ends."""

from collections.abc import Mapping

import pulumi

from components.endpoint.haproxy_sections import (
    CERTIFICATE,
    CONFIGURATION_FOLDER,
    KEYS_FOLDER,
    PROBE_PORT,
    TLS_FOLDER,
    TLS_PORT,
)
from components.endpoint.key_map import INNER_KEY, KEY_MAP
from components.shared import tls_secret
from components.shared.pods import (
    SEALED_CONTAINER_SECURITY,
    Manifest,
    field_variable,
    only_container,
    pod_security,
    secret_variable,
    tolerations,
)
from planning.settings.sections import Image, Scheduling

CONFIGURATION = "haproxy.cfg"

FAMILY_AND_DOMAIN = (
    'case "$POD_IP" in *:*) export LISTEN=:: FAMILY=ipv6 ;; *) export LISTEN=0.0.0.0 FAMILY=ipv4 ;; esac; '
    "export DOMAIN=$(sed -n 's/^search[[:space:]]*\\([^[:space:]]*\\).*/.\\1/p' /etc/resolv.conf); "
)
"""It listens on the family that the pod has: a node without IPv6 refuses the other one. HAProxy's own resolver, unlike
the C library, does not search: a pod's first search domain is that of its namespace's Services."""

START = f"{FAMILY_AND_DOMAIN}exec haproxy -db -f {CONFIGURATION_FOLDER}/{CONFIGURATION}"

RENEWED_SECONDS = 10
START_WITH_TLS = (
    f"{FAMILY_AND_DOMAIN}was=$(readlink {TLS_FOLDER}/..data); "
    f"haproxy -W -db -f {CONFIGURATION_FOLDER}/{CONFIGURATION} & master=$!; "
    "trap 'kill -USR1 $master' USR1; trap 'kill -TERM $master' TERM; "
    f"while kill -0 $master 2> /dev/null; do sleep {RENEWED_SECONDS} & wait $!; "
    f'now=$(readlink {TLS_FOLDER}/..data); [ "$now" = "$was" ] || kill -USR2 $master; was=$now; done; wait $master'
)
"""HAProxy watches no files. The kubelet renews a Secret by pointing the link `..data` to another folder; then HAProxy's
master starts another worker with the new certificate, and the old one ends with its last answer. If the new files are
no certificate, the old worker goes on. The shell is no child of the master, which waits for all of its own."""

END = "sleep 5; kill -USR1 1; while kill -0 1; do sleep 1; done"
"""By then no new client is sent to the pod. At SIGUSR1 HAProxy takes no connections and ends with its last answer; at
SIGTERM, which follows this command, it would cut all of them."""

SETTLED_SECONDS = 5
"""The packet filter's rules for a new pod, by which it reaches vLLM, come a moment after it."""

LONGEST_END_SECONDS = 3700
"""An answer may take an hour."""

RESOURCES: Manifest = {
    "requests": {"cpu": "250m", "memory": "128Mi", "ephemeral-storage": "64Mi"},
    "limits": {"memory": "1Gi", "ephemeral-storage": "256Mi"},
}
"""10,000 connections with two buffers of 16 KiB each are 320 MiB."""


def proxy_pod(
    image: Image,
    scheduling: Scheduling,
    *,
    proxy_image: str,
    config_map: pulumi.Input[str],
    labels: Mapping[str, str],
    port: int,
) -> Manifest:
    """Return the specification of a pod that takes requests at `port`; it stays away from others with its `labels`."""
    away = {"topologyKey": "kubernetes.io/hostname", "labelSelector": {"matchLabels": labels}}
    return {
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "securityContext": pod_security(scheduling.run_as_user),
        "imagePullSecrets": [{"name": image.pull_secret}] if image.pull_secret else [],
        "terminationGracePeriodSeconds": LONGEST_END_SECONDS,
        "affinity": {
            "podAntiAffinity": {
                "preferredDuringSchedulingIgnoredDuringExecution": [{"weight": 100, "podAffinityTerm": away}]
            }
        },
        "containers": [
            {
                "name": "haproxy",
                "image": proxy_image,
                "command": ["sh", "-c", START],
                "env": [field_variable("POD_IP", "status.podIP")],
                "ports": [
                    {"name": "http", "containerPort": port},
                    {"name": "metrics", "containerPort": PROBE_PORT},
                ],
                "readinessProbe": {
                    "httpGet": {"path": "/ready", "port": PROBE_PORT},
                    "initialDelaySeconds": SETTLED_SECONDS,
                    "periodSeconds": 5,
                },
                "lifecycle": {"preStop": {"exec": {"command": ["sh", "-c", END]}}},
                "resources": RESOURCES,
                "securityContext": SEALED_CONTAINER_SECURITY,
                "terminationMessagePolicy": "FallbackToLogsOnError",
                "volumeMounts": [{"name": "configuration", "mountPath": CONFIGURATION_FOLDER, "readOnly": True}],
            }
        ],
        "volumes": [{"name": "configuration", "configMap": {"name": config_map}}],
        **tolerations(scheduling),
    }


def mount_keys(pod: Manifest, secret: pulumi.Input[str]) -> None:
    """Let a proxy know the digests of the keys, and the key that vLLM wants."""
    container = only_container(pod)
    container["env"].append(secret_variable("INNER_KEY", secret, INNER_KEY))
    container["volumeMounts"].append({"name": "keys", "mountPath": KEYS_FOLDER, "readOnly": True})
    items = [{"key": KEY_MAP, "path": KEY_MAP}]
    pod["volumes"].append({"name": "keys", "secret": {"secretName": secret, "items": items}})


def mount_certificate(pod: Manifest, secret: pulumi.Input[str]) -> None:
    """Let a proxy take TLS with the certificate of a Secret of type kubernetes.io/tls, and with its renewals."""
    container = only_container(pod)
    container["command"] = ["sh", "-c", START_WITH_TLS]
    container["ports"].append({"name": "https", "containerPort": TLS_PORT})
    container["volumeMounts"].append({"name": "tls", "mountPath": TLS_FOLDER, "readOnly": True})
    paths = {tls_secret.CERTIFICATE: CERTIFICATE, tls_secret.PRIVATE_KEY: f"{CERTIFICATE}.key"}
    items = [{"key": key, "path": path} for key, path in paths.items()]
    pod["volumes"].append({"name": "tls", "secret": {"secretName": secret, "items": items}})

"""The one list of what the embedded cluster is made of, and in which versions.

The Go modules are pinned to the bit by `go/*/go.mod` and `go.sum`; a unit test holds this list against them.
"""

KUBERNETES = "1.35.4"
KWOK = "0.8.0"
KUBERAY = "1.6.1"
KUBE_ROUTER = "2.1.0"
COREDNS = "1.15.0"
BUILDKIT = "0.34.2"
PULUMI = "3.215.0"
PULUMI_KUBERNETES_MODULE = "v4.0.0-20260115033456-f47bc2d6f199"
# The commit above lies between the releases 4.25 and 4.26; the provider reports the former.
PULUMI_KUBERNETES = "4.25.0"

# What an installed program may be to be used instead of a built one: at least the first, below the second.
FITTING_PULUMI = ("3.215.0", "4")
FITTING_PULUMI_KUBERNETES = ("4.25.0", "5")
FITTING_KUBECTL = ("1.30", "2")
FITTING_KUBERNETES = ("1.35", "1.36")
FITTING_KWOK = ("0.8", "0.9")
FITTING_COREDNS = ("1.11", "2")

PYTHON = "3.11"
RAY = "2.60.0"

# Debian 12 has the versions in the comments; security updates of them are welcome.
DEBIAN_RELEASE = "bookworm"
DEBIAN_PACKAGES = (
    "apache2-utils",  # htpasswd, for the registry's password file
    "busybox-static",  # 1.35
    "containerd",  # 1.6.20
    "containernetworking-plugins",  # 1.1.1
    "docker-registry",  # 2.8.2
    "etcd-server",  # 3.4.23
    "git-lfs",  # 3.3
    "iproute2",  # 6.1
    "ipset",  # 7.17, for kube-router
    "iptables",  # 1.8.9
    "mmdebstrap",  # 1.3.5
    "openssl",  # 3.0
    "runc",  # 1.1.5
)
TEST_PACKAGES = (
    "apache2-utils",
    "docker-registry",
    "git-lfs",
    "haproxy",  # 2.6
    "prometheus",  # 2.42
    "prometheus-alertmanager",  # 0.25
)

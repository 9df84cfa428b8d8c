"""The Kubernetes cluster: control plane, the real node, and simulated ones."""

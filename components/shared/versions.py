"""Versions that more than one component must agree on."""

RAY = "2.60.0"
"""The Ray of the base image, of both locks in images/ray-vllm/ and of the RayCluster: equal to the patch."""

BUILDKIT = "0.34.2"
"""The BuildKit whose image runs the build Jobs."""

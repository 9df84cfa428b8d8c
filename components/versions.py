"""Versions that more than one component must agree on."""

RAY = "2.60.0"
"""The Ray of the base image, of both locks in images/ray-vllm/ and of the RayCluster: equal to the patch."""

VLLM = "0.32.0"
"""The vLLM of both locks in images/ray-vllm/, for which the flags of vllm_arguments.py are written."""

BUILDKIT = "0.34.2"
"""The BuildKit whose image runs the build Jobs."""

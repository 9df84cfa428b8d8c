"""The vLLM that the plan is of."""

VLLM = "0.32.0"
"""The release in images/ray-vllm/requirements-cuda.txt. docs/gpu-memory.md says how another one is taken in."""

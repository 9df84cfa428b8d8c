"""The vLLM release whose memory use and flags the plan follows."""

VLLM = "0.32.0"
"""The release in images/ray-vllm/requirements-cuda.txt. docs/gpu-memory.md says how to take in another one."""

"""The vLLM release whose memory use and flags the plan follows."""

VLLM = "0.32.0"
"""The release in both locks of images/ray-vllm/, for which the flags of components/vllm_server/vllm_arguments.py are written.

docs/gpu-memory.md says how to take in another one."""

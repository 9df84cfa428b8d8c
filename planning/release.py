"""The vLLM release whose memory use and flags the plan follows."""

VLLM = "0.32.0"
"""The release in both locks of images/ray-vllm/, and the one whose flags the serving Job gives.

docs/gpu-memory.md says how to take in another one."""

"""What the locked vLLM does on real GPUs: `python -m bench.gpu` adds one measured row to rows.json.

A row is one start of vLLM with DeepSeek-V3's layer dimensions, fewer layers and random weights, as the keys of a stack
file describe it. The plan is held against these rows (tests/unit/planning/test_rows.py). docs/gpu-memory.md tells how
to make them on a machine of yours.
"""

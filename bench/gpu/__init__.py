"""What the locked vLLM does on real GPUs: `python -m bench.gpu` adds one measured row to rows.json.

A row is one start of vLLM with DeepSeek-V3's layer dimensions, fewer layers and random weights, as the keys of a stack
file describe it. tests/unit/planning/sizing/test_rows.py holds the plan against these rows. docs/gpu-memory.md tells
how to make them on a machine of yours.
"""

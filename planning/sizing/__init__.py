"""How large things are: model, weights, GPUs, the memory that vLLM takes, and the KV cache that is left."""

"""How fast a stack will answer: from the work of a step, the GPU's rates, and what was measured of vLLM."""

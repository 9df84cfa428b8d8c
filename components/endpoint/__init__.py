"""The door: the proxies through which clients reach vLLM."""

"""The architectures that the plan knows, a module each. Any other model is served without a plan of its memory."""

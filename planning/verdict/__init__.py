"""What speaks against a stack, what a reviewer should know, and the nearest stack that fits."""

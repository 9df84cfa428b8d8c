"""Every change of a stack file, and what it does to a stack that serves."""

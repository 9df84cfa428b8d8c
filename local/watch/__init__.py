"""Shows in a terminal what a stack does while it serves."""

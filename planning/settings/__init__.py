"""What a person writes: the stack file, its keys and their defaults, and its faults."""

"""What the start of a pipeline stage reads of a checkpoint, and how long it takes."""

"""The layouts of a stack's model that fit its hardware: what they hold, how fast they are predicted to be."""

"""The simulated world: what a test finds there, plays there or breaks there."""

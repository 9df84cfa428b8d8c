"""The claim with the weights, and the Jobs that fill and tidy it."""

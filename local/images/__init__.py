"""Images that stand in for public ones, and the registry that holds them."""

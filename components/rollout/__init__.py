"""Rolling change: of several engines one after the other is replaced."""

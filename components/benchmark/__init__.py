"""Measures what was deployed."""

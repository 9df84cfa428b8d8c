"""The ComponentResources of the program, one a file, wired by their outputs in `__main__.py`."""

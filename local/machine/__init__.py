"""This machine: its packages, kernel settings, packet filter, network and processes."""

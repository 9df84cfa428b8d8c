"""The programs that are built here, and the locks of Python packages."""

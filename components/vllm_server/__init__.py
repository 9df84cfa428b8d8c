"""The Job that serves, and the gate that waits for its first answer."""

"""Programs that write pages and data which tests then compare."""

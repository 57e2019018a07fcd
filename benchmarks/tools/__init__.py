"""The programs that are compared, one module each. `job` is their common task."""

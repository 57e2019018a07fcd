"""The programs that are compared, one module each; `job` is what they are asked to do."""

"""Secrets at rest: the box that encrypts them, the columns that hold them, and key rotation."""

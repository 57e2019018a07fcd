"""The distribution methods."""

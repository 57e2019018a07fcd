"""Hosts that users name: how they are parsed, which ones are allowed, and the guard before each connection."""

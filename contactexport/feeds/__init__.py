"""Feeds: standing exports with a cursor and a number, started by a schedule or when somebody asks."""

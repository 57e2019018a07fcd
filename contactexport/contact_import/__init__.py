"""Imports contacts from a CSV file."""

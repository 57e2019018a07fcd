"""The one-machine default: Postgres from a wheel, sample contacts, the demo."""

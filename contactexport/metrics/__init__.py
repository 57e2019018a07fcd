"""What Prometheus reads at /metrics: the figures of the whole service, and those of this server."""

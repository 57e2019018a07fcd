"""For CONTACTEXPORT_ENV=development: everything is told, retries come soon."""

LOG_LEVEL = "DEBUG"
SWEEP_INTERVAL = 5

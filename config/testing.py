"""For CONTACTEXPORT_ENV=testing: short waits, and the loopback hosts of the test servers are allowed."""

TESTING = True
SWEEP_INTERVAL = 1
FTP_TIMEOUT = 5
BROKER_POLLING_INTERVAL = 0.02
ALLOWED_HOSTS = "127.0.0.0/8,::1"

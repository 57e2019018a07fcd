"""For CONTACTEXPORT_ENV=production: nothing embedded, so these must be set in the environment."""

REQUIRED_SETTINGS = ("DATABASE_URL", "BROKER_URL", "STORAGE", "SECRET_KEY")

"""For CONTACTEXPORT_ENV=production: nothing embedded, so these must be set in the environment."""

# A folder that is not mounted must not be made.
CREATE_STORAGE = 0
REQUIRED_SETTINGS = ("DATABASE_URL", "BROKER_URL", "STORAGE", "SECRET_KEY")

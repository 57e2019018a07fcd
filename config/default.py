"""Flask's own configuration, the same in every environment.

The program's settings (database, broker, limits …) are listed in contactexport/settings.py, one by one,
with their defaults; a file here or an environment variable CONTACTEXPORT_<NAME> changes them.
"""

MAX_CONTENT_LENGTH = 64 * 1024
PROPAGATE_EXCEPTIONS = False
TRAP_HTTP_EXCEPTIONS = False

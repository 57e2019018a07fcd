"""What you change in gunicorn's configuration, below the import; the rest is contactexport/serving/gunicorn_conf.py.

Read by `flask serve` and by `gunicorn --config config/gunicorn.py wsgi:app`.
"""

from contactexport.serving.gunicorn_conf import *  # noqa: F403 - gunicorn reads every name of this module

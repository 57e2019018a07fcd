"""The Celery application: `celery -A celery_worker worker`."""

from contactexport import create_app
from contactexport.worker.celery_app import worker_app

app = worker_app(create_app().extensions["contactexport"])

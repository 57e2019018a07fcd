"""The Celery application: `celery -A contactexport.serving.celery_app worker`."""

from contactexport import create_app
from contactexport.worker.app import worker_app

app = worker_app(create_app().extensions["contactexport"])

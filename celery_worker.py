"""The Celery application: `celery -A celery_worker worker`."""

from contactexport.serving.celery_app import app

__all__ = ["app"]

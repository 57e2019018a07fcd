"""What gunicorn and Celery load: a worker class that limits slow clients, a configuration, an application."""

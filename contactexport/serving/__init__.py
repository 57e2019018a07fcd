"""What gunicorn runs the application with: a worker that no slow client can stop."""

"""The queue between accepting an export and running it: who publishes, and folders as a broker."""

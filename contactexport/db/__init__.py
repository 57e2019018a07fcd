"""What any Postgres program would need: connections, errors, queries, migrations."""

"""Database engine: Django's PostgreSQL, working under a role that row-level security holds."""

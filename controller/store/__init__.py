"""The database engine and its migrations (Alembic on SQLite)."""

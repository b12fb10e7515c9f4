"""Alembic's environment and the migrations; run by :func:`controller.store.migrate.migrate`."""

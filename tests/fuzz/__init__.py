"""Fuzzing the served API by its own description: ``scripts/fuzz-api`` on demand, a seeded tier in CI."""

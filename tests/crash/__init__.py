"""Writers while the server is killed: ``scripts/crash-writes`` on demand, a short tier in CI (I5)."""

"""Bring a topology up and down: network namespaces by default."""

"""Moves accounts' chunks across sites: the state machine (pure) and its driver."""

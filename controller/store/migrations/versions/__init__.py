"""The migrations, oldest first: ``v<NNNN>_<what>.py``, revision ``<NNNN>``, each on the one before."""

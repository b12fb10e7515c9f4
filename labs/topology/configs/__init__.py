"""The daemons' configuration for generated labs: one pure function a daemon, :class:`Router` → text.

Each was fed to the real daemon (``tests/labs/test_configurations.py`` does it again).
"""

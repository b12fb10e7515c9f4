"""Walking the official SDK: every account-level method of ``client.addressing`` (``scripts/sdk-walk``)."""

"""One site: its journal, its machines and their quorum, its speaker. Trusts no controller and no database."""

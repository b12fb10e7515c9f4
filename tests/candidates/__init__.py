"""Releases that ``herald shadow`` must see through: none of this is in the product."""

"""Errors of a hunt."""

from __future__ import annotations

from controller.errors import HeraldError


class HuntError(HeraldError):
    """A hunt cannot be made, or did not come to its end."""

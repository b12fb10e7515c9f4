"""Errors of the timeline.

::

    TimelineError
    └── TargetError     a webhook may not be sent there
"""

from __future__ import annotations

from controller.errors import HeraldError


class TimelineError(HeraldError):
    """Root of the errors of this package."""


class TargetError(TimelineError):
    """A webhook may not be sent there; the text says why and what would be right."""

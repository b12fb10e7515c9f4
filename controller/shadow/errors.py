"""Errors of ``herald shadow``.

::

    ShadowError              root
    ├── CopyError            no copy can be made of what was named
    └── CandidateError       the candidate does not start, or ended early
"""

from __future__ import annotations

from controller.errors import HeraldError


class ShadowError(HeraldError):
    """Root of the errors of this package."""


class CopyError(ShadowError):
    """What was named cannot be copied."""


class CandidateError(ShadowError):
    """The candidate cannot be tried: that says nothing of what it would do."""

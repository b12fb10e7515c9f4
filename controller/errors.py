"""The root of Herald's errors.

::

    HeraldError                 remedy: what the caller may do
    ├── controller.bgp.PrefixError
    ├── one family per package, in its own ``errors.py``
    └── …

Every error says what is wrong with which value and what to do, in one line. ``remedy`` tells programs
the same: try again, wait for something else to recover, or a person must act.
"""

from __future__ import annotations

from enum import Enum
from typing import ClassVar


class Remedy(Enum):
    """What may be done about an error."""

    RETRY = "retry"  # the same call may succeed later, unchanged
    WAIT = "wait"  # something that this depends on must recover first
    PERSON = "person"  # somebody must change something


class HeraldError(Exception):
    """Root of all errors that Herald raises on purpose; its text is one line for a person."""

    remedy: ClassVar[Remedy] = Remedy.PERSON

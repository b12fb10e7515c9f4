"""Errors of an agent.

::

    AgentError
    ├── JournalError           the journal cannot be read or written
    │   └── JournalDamagedError   a record before its end is damaged: the agent is quarantined
    ├── AgentRunningError      another agent holds this state directory
    └── OverrideRefusedError   an override or emergency that does nothing (controller.agent.override)
"""

from __future__ import annotations

from typing import ClassVar

from controller.errors import HeraldError, Remedy


class AgentError(HeraldError):
    """Root of the errors of this package."""


class JournalError(AgentError):
    """The journal cannot be read or written."""

    remedy: ClassVar[Remedy] = Remedy.RETRY


class JournalDamagedError(JournalError):
    """A record before the journal's end does not check: nobody knows what the site is to announce."""

    remedy: ClassVar[Remedy] = Remedy.PERSON


class AgentRunningError(AgentError):
    """Another agent holds this state directory."""

"""Errors of a machine.

::

    MachineError
    ├── MachineJournalError    the machine's journal cannot be read or written
    └── KernelRoutesError      ``ip`` refused (also used for an agent's forwarding routes)
"""

from __future__ import annotations

from controller.errors import HeraldError


class MachineError(HeraldError):
    """Root of the errors of this package."""


class MachineJournalError(MachineError):
    """The journal cannot be read or written; what the kernel holds is left as it is."""


class KernelRoutesError(MachineError):
    """The kernel's routes cannot be read or changed."""

"""Errors of the runtimes and of the nodes that they start.

::

    RuntimesError
    ├── HostRefusesError     this host does not allow what a lab needs; a person must change a setting
    ├── LabStartError        a lab did not come up; nothing of it is left
    │   ├── SetupCommandError    a command that sets up a node or a link failed
    │   ├── ProcessStartError    a daemon (or a process of Herald's) did not become ready
    │   └── AddressingLoadError  the API refused something of configs/addressing.json
    ├── LabChangedError      the topology is not the one that the running lab was made from
    ├── LabBusyError         another command is bringing this lab up or down
    ├── NoLabError           no running lab, or several, where one is meant
    ├── UnknownProcessError  the lab has no such node or process
    └── LabControlError      the lab process does not answer as it should
"""

from __future__ import annotations

from typing import ClassVar

from controller.errors import HeraldError, Remedy


class RuntimesError(HeraldError):
    """Root of the errors of labs.runtimes and labs.nodes."""


class HostRefusesError(RuntimesError):
    """This host does not allow what a lab needs; the message names the setting."""


class LabStartError(RuntimesError):
    """A lab did not come up; nothing of it is left."""


class SetupCommandError(LabStartError):
    """A command that sets up a node or a link failed; the message holds its output."""


class ProcessStartError(LabStartError):
    """A daemon (or a process of Herald's) did not become ready; the message ends with its log."""


class AddressingLoadError(LabStartError):
    """The API refused something of the topology's configs/addressing.json; the message holds its answer."""


class LabChangedError(RuntimesError):
    """The topology is not the one that the running lab was made from."""


class LabBusyError(RuntimesError):
    """Another command is bringing this lab up or down."""

    remedy: ClassVar[Remedy] = Remedy.RETRY


class NoLabError(RuntimesError):
    """No running lab, or several, where one is meant."""


class UnknownProcessError(RuntimesError):
    """The lab has no such node or process; the message lists those that it has."""


class LabControlError(RuntimesError):
    """The lab process does not answer as it should, or has ended."""

    remedy: ClassVar[Remedy] = Remedy.WAIT

"""What the controller asks of an agent, and an agent of a machine, whatever carries it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from controller.observe.rib import RibRow
from controller.transport.messages import (
    BindingAck,
    BindingSet,
    Command,
    Confirmation,
    DrainOrder,
    HealthGrant,
    NewerJournal,
    Receipt,
    RegistryNews,
    SiteStatus,
)


class SiteLink(Protocol):
    """The controller's link to one site's agent.

    Every call raises :class:`~controller.transport.errors.TransportUnreachableError` when nobody answers
    in time (the command may have arrived all the same: ask the status), and another
    :class:`~controller.transport.errors.TransportError` when the answer makes no sense.
    """

    async def deliver(self, commands: Sequence[Command]) -> list[Receipt]:
        """Hand over commands, to be judged in this order; a receipt for each, in the same order.

        They come after the agent's journal is on disk.
        """
        ...

    async def confirm(self, confirmation: Confirmation) -> Receipt:
        """Say that an account's newest command is final; ``stale`` when it is not the newest any more.

        ``duplicate``: it was final already. The receipt comes after the agent's journal is on disk.
        """
        ...

    async def grant(self, grant: HealthGrant) -> Receipt:
        """Say that withdrawals for want of bindings may be; ``stale`` when none of them is wished any more.

        The agent's own guard decides; what came of it is in its status.
        """
        ...

    async def drain(self, order: DrainOrder) -> Receipt:
        """Begin or lift a drain; ``duplicate`` when that was done already, ``refused`` with the reason."""
        ...

    async def enrol(self, news: RegistryNews) -> Receipt:
        """Bring entries of the registry; ``refused`` when the agent does not believe an entry.

        The receipt comes after the agent's journal is on disk.
        """
        ...

    async def quarantine(self, remembered: NewerJournal) -> Receipt:
        """Tell the agent of a newer journal than it has; ``refused`` when it is not behind that."""
        ...

    async def status(self, after: int = 0, wait: float = 0.0) -> SiteStatus:
        """Return the status once its version exceeds ``after``, or after ``wait`` seconds as it is."""
        ...

    async def adj_rib_out(self) -> list[RibRow]:
        """Return what the site's speaker sends, as the speaker itself says."""
        ...

    async def close(self) -> None:
        """Let go of the connections."""
        ...


class MachineLink(Protocol):
    """An agent's link to one of its machines; errors as for :class:`SiteLink`."""

    async def put(self, bindings: BindingSet) -> BindingAck:
        """Give the machine its full set; it answers once the set is on disk and in its kernel.

        Raises :class:`~controller.transport.errors.TransportRefusedError` (status 409) when the machine
        holds a higher generation.
        """
        ...

    async def get(self) -> BindingAck:
        """Return what the machine holds now."""
        ...

    async def close(self) -> None:
        """Let go of the connections."""
        ...

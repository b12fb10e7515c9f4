"""What a speaker's driver must, may and must not do."""

from __future__ import annotations

from typing import ClassVar, Protocol

from controller.bgp import Prefix, Route
from controller.errors import HeraldError, Remedy
from controller.observe.rib import RibRow


class SpeakerError(HeraldError):
    """Root of the errors of this package."""


class SpeakerDownError(SpeakerError):
    """The speaker cannot be reached; what it announced before is as it was."""

    remedy: ClassVar[Remedy] = Remedy.WAIT


class SpeakerRefusedError(SpeakerError):
    """The speaker said no to the routes for ``prefixes``; it has all the others."""

    def __init__(self, message: str, prefixes: frozenset[Prefix] = frozenset()) -> None:
        super().__init__(message)
        self.prefixes = prefixes


class Speaker(Protocol):
    """A driver for one speaker.

    The write is the full desired set. A driver must send only the difference from what the speaker
    *has* (read back on attaching, then kept), so that an equal set sends nothing; must read every
    acknowledgement; must not withdraw anything on close, cancellation or error.
    """

    @property
    def name(self) -> str:
        """``"exabgp"``, ``"gobgp"`` or ``"bird"``."""
        ...

    async def attach(self) -> frozenset[Route]:
        """Connect, read back what the speaker announces, and return it.

        Raises :class:`SpeakerDownError` when there is nobody to talk to.
        """
        ...

    async def set(self, routes: frozenset[Route]) -> None:
        """Make the speaker announce exactly ``routes``; return when it has acknowledged all of them.

        Raises :class:`SpeakerDownError` (attach again) or :class:`SpeakerRefusedError`.
        """
        ...

    async def adj_rib_out(self) -> list[RibRow]:
        """Read what the speaker itself says it sends, a row a neighbour and prefix (``node``: "").

        ``from_`` holds the neighbour's address here.
        """
        ...

    async def lost(self) -> None:
        """Return when the speaker is gone (its socket or pipe closed), so that the caller attaches anew."""
        ...

    async def close(self) -> None:
        """Let go of the speaker; it keeps announcing."""
        ...

"""The last good set of VRPs of one source: what may take its place, and for how long it may be used.

A refused set changes nothing but what is told; so does a source that has gone. When a set has become too old,
the source gives no answer any more, which is an error and never "invalid".
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Literal

import msgspec
import structlog

from controller.validation.acceptance import Shrinkage, accept
from controller.validation.errors import ShrunkenError, ValidationError
from controller.validation.verdicts import Heard
from controller.validation.vrps import VrpSet

log = structlog.get_logger()

FeedKind = Literal["rtr", "vrp_json"]
FeedState = Literal["fresh", "stale", "waiting"]


class FeedReport(msgspec.Struct, frozen=True):
    """What an operator sees of a source; ``refused``: VRPs of a set that was not taken, and may be."""

    source: str
    kind: FeedKind
    state: FeedState
    vrps: int | None
    at: datetime | None
    trouble: str
    refused: int | None


class Feed:
    """One source of VRPs; used from the event loop alone.

    ``changed(difference)`` is called with the VRPs that differ once a new set is good, and with None when the
    set has become too old. ``baseline``: the number of VRPs that a process before this one held good.
    """

    def __init__(
        self,
        source: str,
        kind: FeedKind,
        limit: Shrinkage,
        changed: Callable[[Feed, VrpSet | None], None],
        baseline: int | None = None,
    ) -> None:
        self.source = source
        self.kind: FeedKind = kind
        self._limit = limit
        self._changed = changed
        self._baseline = baseline
        self._good: VrpSet | None = None
        self._refused: VrpSet | None = None
        self._lasts_s = 0.0
        self._fresh = False
        self._at: datetime | None = None
        self._trouble = ""
        self._timer: asyncio.TimerHandle | None = None

    @property
    def good(self) -> VrpSet | None:
        """The last good set, however old."""
        return self._good

    def offer(self, vrps: VrpSet, lasts_s: float) -> bool:
        """Take ``vrps``, which may be used for ``lasts_s`` seconds, and return whether it was taken."""
        lost = None if self._good is None else sum(1 for v in self._good if v not in vrps)
        kept = self._baseline if self._good is None else len(self._good)
        try:
            accept(self.source, kept, lost, len(vrps), self._limit)
        except ShrunkenError as error:
            self._refused, self._lasts_s = vrps, lasts_s
            self.troubled(error)
            return False
        self._take(vrps, lasts_s)
        return True

    def accept_refused(self, count: int) -> None:
        """Take the refused set on an operator's word, who saw that it has ``count`` VRPs.

        Raises :class:`ValidationError` when there is none, or it has another number by now.
        """
        if self._refused is None:
            raise ValidationError(f"{self.source} has no set that was refused: there is nothing to accept")
        if len(self._refused) != count:
            raise ValidationError(
                f"the refused set of {self.source} has {len(self._refused)} VRPs, not {count}: look again"
            )
        self._take(self._refused, self._lasts_s)

    def troubled(self, error: ValidationError | str) -> None:
        """Note that the source gave nothing that can be used; what is good stays so until it is too old."""
        if str(error) != self._trouble:
            log.warning("a source of VRPs gives no usable answer", source=self.source, reason=str(error))
        self._trouble = str(error)

    def heard(self) -> Heard[VrpSet]:
        """Return what the source says now."""
        if self._good is not None and self._fresh:
            return Heard(self.source, self._good)
        why = self._trouble or "it has not answered yet"
        if self._good is not None:
            return Heard(self.source, None, f"{self.source}: its last good set is too old: {why}")
        return Heard(self.source, None, f"{self.source}: {why}")

    def report(self) -> FeedReport:
        """Return what an operator sees."""
        state: FeedState = "waiting" if self._good is None else ("fresh" if self._fresh else "stale")
        return FeedReport(
            source=self.source,
            kind=self.kind,
            state=state,
            vrps=None if self._good is None else len(self._good),
            at=self._at,
            trouble=self._trouble,
            refused=None if self._refused is None else len(self._refused),
        )

    def close(self) -> None:
        """End its timer."""
        if self._timer is not None:
            self._timer.cancel()

    def _take(self, vrps: VrpSet, lasts_s: float) -> None:
        difference = vrps.changed(self._good or VrpSet())
        was_fresh = self._fresh
        self._good, self._refused, self._trouble = vrps, None, ""
        self._fresh, self._at = True, datetime.now(UTC)
        self.close()
        self._timer = asyncio.get_running_loop().call_later(lasts_s, self._aged)
        if not was_fresh or len(difference):
            log.info("a set of VRPs is good", source=self.source, vrps=len(vrps), changed=len(difference))
            self._changed(self, difference if was_fresh else None)

    def _aged(self) -> None:
        self._fresh = False
        self.troubled(self._trouble or "it was not heard of in time")
        log.warning("a set of VRPs is too old", source=self.source)
        self._changed(self, None)

"""How many of our prefixes independent observers see, over time (pure): falling visibility as a signal.

It tells the breaker of harm, whatever caused it. An observer that answers nothing, or that has itself shrunk
while others have not, is left out: its trouble is not that of the prefixes (guards.md, 7).
"""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from controller.bgp import Prefix, prefix_key

SHRUNK = 0.5
"""An observer that sees less than this share of what it saw before has shrunk."""
SHRUNK_FLOOR = 6
FRESH_S = 90.0
"""What an observer told longer ago than this says nothing of now."""


class Seen(msgspec.Struct, frozen=True):
    """What one observer sees of our prefixes at one moment; ``at`` in seconds. One that fails gives none."""

    observer: str
    at: float
    prefixes: frozenset[Prefix]
    total: int
    """All routes that it told of, ours or not."""


class Fall(msgspec.Struct, frozen=True):
    """Prefixes that most observers saw ``seconds`` ago, and do not see now."""

    prefixes: tuple[Prefix, ...]
    of: int
    observers: int
    left_out: tuple[str, ...]
    seconds: float

    @property
    def share(self) -> float:
        """The lost share of what was seen."""
        return len(self.prefixes) / self.of if self.of else 0.0

    @property
    def says(self) -> str:
        """Say it in one line, with the numbers."""
        out = f"; left out, since they have shrunk: {', '.join(self.left_out)}" if self.left_out else ""
        return (
            f"{len(self.prefixes)} of {self.of} prefixes ({self.share:.1%}) have gone from the sight of most "
            f"of {self.observers} observers within {self.seconds:g} s{out}"
        )


class Visibility(msgspec.Struct, frozen=True):
    """What was seen over the last ``keep_s`` seconds, of each observer by time."""

    keep_s: float = 3600.0
    seen: dict[str, tuple[Seen, ...]] = {}

    @property
    def known(self) -> frozenset[Prefix]:
        """All prefixes that any observer saw."""
        return frozenset(p for history in self.seen.values() for s in history for p in s.prefixes)

    def take(self, readings: Iterable[Seen]) -> Visibility:
        """Return this with ``readings``, and without what is too old (one older is kept to compare with)."""
        seen = dict(self.seen)
        for new in readings:
            old = tuple(s for s in seen.get(new.observer, ()) if s.at < new.at)
            recent = tuple(s for s in old if new.at - s.at <= self.keep_s)
            seen[new.observer] = (*(recent or old[-1:]), new)
        return msgspec.structs.replace(self, seen=seen)

    def fall(self, wanted: frozenset[Prefix], seconds: float, now: float) -> Fall:
        """Return what has gone from sight within ``seconds`` up to ``now``, of what is ``wanted``.

        An observer counts when it has told something within that time, and something to compare with.
        """
        pairs = [p for history in self.seen.values() if (p := _ends(history, seconds, now)) is not None]
        shrunk = {new.observer for old, new in pairs if _has_shrunk(old, new)}
        if 2 * len(shrunk) > len(pairs) > 1:
            shrunk = set()  # most of them at once, independently: that is what there is to see
        pairs = [(old, new) for old, new in pairs if new.observer not in shrunk]
        before: dict[Prefix, list[bool]] = {}
        for old, new in pairs:
            for prefix in old.prefixes & wanted:
                before.setdefault(prefix, []).append(prefix in new.prefixes)
        known = {p: still for p, still in before.items() if 2 * len(still) > len(pairs)}
        gone = [p for p, still in known.items() if 2 * sum(still) < len(still)]
        names = tuple(sorted(shrunk))
        return Fall(tuple(sorted(gone, key=prefix_key)), len(known), len(pairs), names, seconds)


def _ends(history: tuple[Seen, ...], seconds: float, now: float) -> tuple[Seen, Seen] | None:
    """Return the oldest and the newest that an observer told within the time; the newest must be fresh."""
    within = [s for s in history if now - seconds <= s.at <= now]
    if len(within) < 2 or now - within[-1].at > FRESH_S:
        return None
    return within[0], within[-1]


def _has_shrunk(old: Seen, new: Seen) -> bool:
    return old.total >= SHRUNK_FLOOR and new.total < SHRUNK * old.total

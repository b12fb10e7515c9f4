"""Many hunts of one prefix, as figures with their spread (pure)."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from statistics import median

import msgspec

from labs.hunting.analysis import Hunt

CONFIDENCE = 0.95
"""Of the interval of the median."""


class Spread(msgspec.Struct, frozen=True):
    """One figure over all hunts. ``low``, ``high``: between these the median lies, with 95 % confidence.

    They are None for fewer than six hunts, which cannot tell so much. It is the interval between two of the
    measured values (order statistics), so that nothing is presumed of how they are distributed.
    """

    least: float
    median: float
    most: float
    low: float | None
    high: float | None


class Repeats(msgspec.Struct, frozen=True):
    """Several hunts: each figure's spread, and the hunts themselves."""

    times: int
    spread: Mapping[str, Spread]
    hunts: tuple[Hunt, ...]


FIGURES: Mapping[str, Callable[[Hunt], float | None]] = {
    "updates": lambda h: h.updates,
    "withdrawals": lambda h: h.withdrawals,
    "paths_explored": lambda h: h.paths_explored,
    "most_paths": lambda h: max((len(peer.paths) for peer in h.peers), default=0),
    "longest_path": lambda h: h.longest_path,
    "invalid": lambda h: h.invalid,
    "loops": lambda h: None if h.loops is None else len(h.loops),
    "t_wire": lambda h: h.t_wire,
    "t_rib": lambda h: h.t_rib,
    "t_data": lambda h: h.t_data,
    "back_t_wire": lambda h: None if h.back is None else h.back.t_wire,
    "back_updates": lambda h: None if h.back is None else h.back.updates,
}
"""What is compared; ``most_paths``: those of the router that tried the most."""


def repeats(hunts: Sequence[Hunt]) -> Repeats:
    """Return the hunts with the spread of each figure that all of them have."""
    found: dict[str, Spread] = {}
    for name, figure in FIGURES.items():
        values = [value for hunt in hunts if (value := figure(hunt)) is not None]
        if values and len(values) == len(hunts):
            found[name] = spread(values)
    return Repeats(len(hunts), found, tuple(hunts))


def spread(values: Sequence[float]) -> Spread:
    """Return the spread of at least one value."""
    ordered = sorted(values)
    place = _place(len(ordered))
    low, high = (None, None) if place is None else (ordered[place], ordered[-1 - place])
    return Spread(ordered[0], median(ordered), ordered[-1], low, high)


def _place(count: int) -> int | None:
    """Return the highest index whose value and its mirror hold the median between them often enough.

    The median lies outside when all but that many of ``count`` values are on one side of it: a binomial.
    """
    outside, found = 0.0, None
    for index in range(count // 2):
        outside += 2 * math.comb(count, index) / 2**count
        if outside > 1 - CONFIDENCE:
            break
        found = index
    return found

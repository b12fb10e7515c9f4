"""Many runs, and what they have in common: the forecast of a hunt (pure; chance comes from outside)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Sequence

import msgspec

from controller.bgp import AsPath
from controller.forecast.network import Network
from controller.forecast.simulate import Chance, Outcome, simulate

RUNS = 40


class Spread(msgspec.Struct, frozen=True):
    """How a figure is spread over the runs: its least, median and greatest value."""

    least: float
    median: float
    most: float


class Explored(msgspec.Struct, frozen=True):
    """A path that a router will announce on its way, and in which share of the runs it does."""

    node: str
    path: AsPath
    share: float


class Forecast(msgspec.Struct, frozen=True):
    """What a withdrawal is foretold to do.

    ``left``: routers that keep a route in every run, with the paths that they may end with; ``lost``: those
    that lose it in some run. ``explored``: who tries which path, the likeliest first.
    """

    runs: int
    updates: Spread
    withdrawals: Spread
    paths_explored: Spread
    longest_path: Spread
    seconds: Spread
    left: dict[str, tuple[AsPath, ...]]
    lost: tuple[str, ...]
    explored: tuple[Explored, ...]


def foretell(
    network: Network,
    withdrawn_at: Collection[str],
    chance: Callable[[int], Chance],
    *,
    runs: int = RUNS,
) -> Forecast:
    """Return the forecast of a withdrawal at some origins; ``chance(i)``: the chance of run ``i``."""
    outcomes = [simulate(network, withdrawn_at, chance(i)) for i in range(runs)]
    tried = Counter(
        seen
        for outcome in outcomes
        for seen in {(s.sender, s.path) for s in outcome.spoken if s.path is not None}
    )
    ends: dict[str, set[AsPath | None]] = {}
    for outcome in outcomes:
        for name, path in outcome.final.items():
            ends.setdefault(name, set()).add(path)
    return Forecast(
        runs=runs,
        updates=_spread([len(o.spoken) for o in outcomes]),
        withdrawals=_spread([sum(s.path is None for s in o.spoken) for o in outcomes]),
        paths_explored=_spread([len(_paths(o)) for o in outcomes]),
        longest_path=_spread([max(map(len, _paths(o)), default=0) for o in outcomes]),
        seconds=_spread([max((s.at_s for s in o.spoken), default=0.0) for o in outcomes]),
        left={
            name: tuple(sorted((p for p in paths if p is not None), key=lambda p: (len(p), str(p))))
            for name, paths in ends.items()
            if None not in paths
        },
        lost=tuple(name for name, paths in ends.items() if None in paths),
        explored=tuple(
            Explored(node, path, count / runs)
            for (node, path), count in sorted(tried.items(), key=lambda it: (-it[1], str(it[0])))
        ),
    )


def _paths(outcome: Outcome) -> set[AsPath]:
    return {s.path for s in outcome.spoken if s.path is not None}


def _spread(values: Sequence[float]) -> Spread:
    ordered = sorted(values)
    return Spread(ordered[0], ordered[len(ordered) // 2], ordered[-1])

"""What the pictures of a hunt show, as numbers over time (pure). Times are seconds since t0."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from controller.bgp import AsPath, Prefix
from controller.observe.event import Event
from controller.observe.holding import Holding, about
from controller.observe.inventory import Inventory
from labs.hunting.analysis import path_length

Step = tuple[float, int | None]
"""From this second on, this length; None: no path."""


@dataclass(frozen=True, slots=True)
class Bin:
    """UPDATEs sent in one slice of time."""

    start: float
    announcements: int
    withdrawals: int


@dataclass(frozen=True, slots=True)
class Graph:
    """Who peers with whom: each pair once, in the inventory's order, and the UPDATEs sent between them."""

    nodes: tuple[str, ...]
    sites: tuple[str, ...]
    edges: Mapping[tuple[str, str], int]


@dataclass(frozen=True, slots=True)
class Series:
    """All series of one hunt; ``steps``: for each router the length of the path that it last announced."""

    prefix: Prefix
    end: float
    steps: Mapping[str, tuple[Step, ...]]
    visible: tuple[tuple[float, int], ...]
    bins: tuple[Bin, ...]
    bin_width: float
    graph: Graph


def series(
    inventory: Inventory, prefix: Prefix, before: Sequence[Event], updates: Sequence[Event], t0_ns: int
) -> Series:
    """Return the series of a hunt: ``before`` until the trigger, ``updates`` about the prefix from t0 on."""
    routers = [node.name for node in inventory.routers()]
    end = (updates[-1].at_ns - t0_ns) / 1e9 if updates else 0.0
    width = bin_width(end)
    return Series(
        prefix=prefix,
        end=end,
        steps={name: staircase(name, prefix, before, updates, t0_ns) for name in routers},
        visible=visible(routers, prefix, before, updates, t0_ns),
        bins=bins(updates, t0_ns, width),
        bin_width=width,
        graph=graph(inventory, updates),
    )


def staircase(
    node: str, prefix: Prefix, before: Iterable[Event], updates: Iterable[Event], t0_ns: int
) -> tuple[Step, ...]:
    """Return the length of the path that ``node`` uses, as its announcements tell (its own AS counts).

    A router withdraws from the neighbour whose path it takes up and announces to the others, so it has no
    path only once it has withdrawn from all.
    """
    told: dict[str, AsPath] = {}
    steps: list[Step] = [(-math.inf, None)]

    def tell(event: Event, at: float) -> None:
        told.pop(event.receiver_address, None)
        for announcement in event.announced:
            if announcement.prefix == prefix:
                told[event.receiver_address] = announcement.as_path  # moves to the end: the newest
        latest = next(reversed(told.values()), None)
        length = None if latest is None else path_length(latest)
        if steps[-1][0] == at and len(steps) > 1:
            steps.pop()  # messages of one instant are one step
        if length != steps[-1][1]:
            steps.append((at, length))

    for event in before:
        if event.sender == node and about(event, prefix):
            tell(event, -math.inf)
    steps[:] = steps[-1:]
    for event in updates:
        if event.sender == node:
            tell(event, (event.at_ns - t0_ns) / 1e9)
    return tuple(steps)


def visible(
    routers: Sequence[str], prefix: Prefix, before: Iterable[Event], updates: Iterable[Event], t0_ns: int
) -> tuple[tuple[float, int], ...]:
    """Return how many of ``routers`` hold a usable path, by the wire, at each change."""
    holding = Holding(prefix, before)
    count = len(holding.holders() & set(routers))
    points = [(-math.inf, count)]
    for event in updates:
        holding.apply(event)
        now = len(holding.holders() & set(routers))
        if now != points[-1][1]:
            points.append(((event.at_ns - t0_ns) / 1e9, now))
    return tuple(points)


def bin_width(end: float, about_bins: int = 40) -> float:
    """Return a round width (1, 2 or 5 of a decade, in seconds) that cuts ``end`` into some forty bins."""
    raw = max(end, 1e-4) / about_bins
    decade = 10.0 ** math.floor(math.log10(raw))
    return next(step * decade for step in (1, 2, 5, 10) if step * decade >= raw * 0.999)


def bins(updates: Iterable[Event], t0_ns: int, width: float) -> tuple[Bin, ...]:
    """Return the UPDATEs per bin of ``width`` seconds, from the first to the last bin that has any."""
    announced: Counter[int] = Counter()
    withdrawn: Counter[int] = Counter()
    for event in updates:
        index = int((event.at_ns - t0_ns) / 1e9 / width)
        (announced if event.announced else withdrawn)[index] += 1
    last = max([*announced, *withdrawn], default=-1)
    return tuple(Bin(i * width, announced[i], withdrawn[i]) for i in range(last + 1))


def graph(inventory: Inventory, updates: Iterable[Event]) -> Graph:
    """Return the graph of BGP routers (ours too, machines not), by their links."""
    sites = tuple(site.router for site in inventory.sites)
    names = [node.name for node in inventory.nodes if node.name in sites or node in inventory.routers()]
    sent = Counter(frozenset((e.sender, e.receiver)) for e in updates)
    edges: dict[tuple[str, str], int] = {}
    for node in inventory.nodes:
        for interface in node.interfaces:
            pair = (node.name, interface.peer_node)
            if node.name in names and interface.peer_node in names and pair[::-1] not in edges:
                edges[pair] = sent[frozenset(pair)]
    return Graph(tuple(names), tuple(s for s in sites if s in names), edges)

"""A hunt to be played back at any speed: what the page of a report shows, step by step (pure).

Routers are numbered by their places in ``nodes``; times are milliseconds since t0.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import msgspec

from controller.bgp import AsPath, Prefix, path_text
from controller.observe.event import Event
from controller.observe.inventory import Inventory
from labs.hunting.analysis import Hunt, path_length
from labs.hunting.layout import layout
from labs.hunting.series import Series
from labs.hunting.told import Told

NOBODY = -1


class Place(msgspec.Struct, frozen=True):
    """A router; ``ours``: it stands for one of our sites. ``x``, ``y``: about -1.6 to 1.6."""

    name: str
    ours: bool
    x: float
    y: float


class Choice(msgspec.Struct, frozen=True, array_like=True):
    """From ``at`` on ``node`` leads to ``to`` (:data:`NOBODY`: it has no path), by a path so long."""

    at: float
    node: int
    to: int
    length: int
    path: str


class Said(msgspec.Struct, frozen=True, array_like=True):
    """One UPDATE; ``path`` is empty for a withdrawal."""

    at: float
    sender: int
    receiver: int
    path: str


class Ring(msgspec.Struct, frozen=True, array_like=True):
    """Routers that led to each other from ``begin`` to ``end``."""

    begin: float
    end: float
    members: tuple[int, ...]


class Replay(msgspec.Struct, frozen=True):
    """All that is played. ``choices``: those at the beginning first, then each change in order."""

    end: float
    nodes: tuple[Place, ...]
    links: tuple[tuple[int, int], ...]
    choices: tuple[Choice, ...]
    said: tuple[Said, ...]
    rings: tuple[Ring, ...]
    bin: float
    bins: tuple[tuple[int, int], ...]


def replay(
    inventory: Inventory,
    hunt: Hunt,
    series: Series,
    *,
    before: Iterable[Event],
    updates: Sequence[Event],
    t0_ns: int,
) -> Replay:
    """Return what there is to play of a hunt; ``updates``: those about its prefix from t0 on."""
    names = series.graph.nodes
    number = {name: index for index, name in enumerate(names)}
    places = layout(series.graph)
    origins = {site.router for site in inventory.sites}
    told = Told(hunt.prefix, origins, before)
    now = {name: _choice(told, name, number, 0.0) for name in names if name not in origins}
    choices, said = list(now.values()), []
    for event in updates:
        told.apply(event)
        at, name = _ms(event.at_ns - t0_ns), event.sender
        said.append(Said(at, number[name], number[event.receiver], _path(event, hunt.prefix)))
        if name in now:
            choice = _choice(told, name, number, at)
            if (choice.to, choice.path) != (now[name].to, now[name].path):
                now[name] = choice
                choices.append(choice)
    end = max(series.end * 1000, 0.001)
    return Replay(
        end=round(end, 3),
        nodes=tuple(
            Place(name, name in origins, *(round(value, 3) for value in places[name])) for name in names
        ),
        links=tuple((number[a], number[b]) for a, b in series.graph.edges),
        choices=tuple(choices),
        said=tuple(said),
        rings=tuple(
            Ring(
                round(loop.begin_s * 1000, 3),
                round(end if loop.end_s is None else loop.end_s * 1000, 3),
                tuple(number[name] for name in loop.members),
            )
            for loop in hunt.loops or ()
        ),
        bin=series.bin_width * 1000,
        bins=tuple((b.announcements, b.withdrawals) for b in series.bins),
    )


def _choice(told: Told, name: str, number: dict[str, int], at: float) -> Choice:
    to, path = told.leads_to(name), told.uses(name)
    if to is None or path is None:
        return Choice(at, number[name], NOBODY, 0, "")
    return Choice(at, number[name], number[to], path_length(path), path_text(path))


def _path(event: Event, prefix: Prefix) -> str:
    found: AsPath = next((a.as_path for a in event.announced if a.prefix == prefix), ())
    return path_text(found)


def _ms(nanoseconds: int) -> float:
    return round(nanoseconds / 1e6, 3)

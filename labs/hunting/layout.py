"""Where routers stand in a picture (pure)."""

from __future__ import annotations

import math

from labs.hunting.series import Graph


def layout(graph: Graph) -> dict[str, tuple[float, float]]:
    """Return places: routers with three neighbours or more on a circle, the others and our sites outside.

    Outer ones stand where their neighbours are; those whose neighbours lie all round are spread evenly.
    """
    degree: dict[str, int] = dict.fromkeys(graph.nodes, 0)
    for a, b in graph.edges:
        degree[a] += 1
        degree[b] += 1
    core = [n for n in graph.nodes if n not in graph.sites and degree[n] >= 3]
    core = core or [n for n in graph.nodes if n not in graph.sites] or list(graph.nodes)
    angle = {name: math.pi - 2 * math.pi * i / len(core) for i, name in enumerate(core)}
    places = {name: (math.cos(a), math.sin(a)) for name, a in angle.items()}
    outside = [name for name in graph.nodes if name not in places]
    taken: list[float] = []
    for index, name in enumerate(outside):
        near = [places[b if a == name else a] for a, b in graph.edges
                if name in (a, b) and (b if a == name else a) in angle]  # fmt: skip
        x, y = sum(p[0] for p in near), sum(p[1] for p in near)
        if math.hypot(x, y) > 0.3:
            at = math.atan2(y, x)
        else:
            at = math.pi / len(core) + math.pi + 2 * math.pi * index / len(outside)
        while any(abs(math.remainder(at - other, 2 * math.pi)) < 0.3 for other in taken):
            at += 0.35
        taken.append(at)
        places[name] = (1.55 * math.cos(at), 1.55 * math.sin(at))
    return places

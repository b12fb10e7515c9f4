"""Histories by number: the same seed and number is the same history, on every machine."""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterable
from dataclasses import dataclass

from tests.simulation.invariants import BrokenError, check
from tests.simulation.world import OPERATIONS, Operation, Settings, World

NAMES = {operation.__name__: operation for operation in OPERATIONS}
_CHOICES = list(OPERATIONS)
_WEIGHTS = list(itertools.accumulate(OPERATIONS.values()))

Step = tuple[Operation, int]


@dataclass(frozen=True)
class Broken:
    """A history that broke an invariant at its last step."""

    seed: str
    invariant: str
    says: str
    steps: tuple[str, ...]


def draw(seed: str, length: int = 30) -> list[Step]:
    """Return the steps of a history."""
    chance = random.Random(seed)
    operations = chance.choices(_CHOICES, cum_weights=_WEIGHTS, k=length)
    return [(operation, chance.getrandbits(32)) for operation in operations]


def run(steps: Iterable[Step], settings: Settings | None = None) -> World:
    """Live through a history, and let everything go on at its end; raises :class:`BrokenError`."""
    world = World(settings)
    check(world)
    for operation, bits in steps:
        operation(world, bits)
        check(world)
    world.let_all_go_on()
    check(world)
    return world


def run_numbered(seed: str, length: int = 30, settings: Settings | None = None) -> Broken | None:
    """Live through the history ``seed``; returns what it broke."""
    return _broken(seed, draw(seed, length), settings)


def shortest(broken: Broken, settings: Settings | None = None) -> Broken:
    """Return the same with each step left out without which it breaks the same invariant."""
    steps = [(NAMES[name], int(bits)) for name, _, bits in (s.partition(" ") for s in broken.steps)]
    found, at = broken, 0
    while at < len(steps):
        fewer = steps[:at] + steps[at + 1 :]
        tried = _broken(broken.seed, fewer, settings)
        if tried is not None and tried.invariant == broken.invariant:
            found, steps = tried, fewer
        else:
            at += 1
    return found


def _broken(seed: str, steps: list[Step], settings: Settings | None) -> Broken | None:
    done: list[str] = []

    def told() -> Iterable[Step]:
        for operation, bits in steps:
            done.append(f"{operation.__name__} {bits}")
            yield operation, bits

    try:
        run(told(), settings)
    except BrokenError as error:
        return Broken(seed, error.name, str(error), tuple(done))
    return None

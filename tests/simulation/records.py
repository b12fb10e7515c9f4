"""What the harness notes while a history runs: facts that the invariants are judged by, and no opinions.

The product never sees any of it. ``at`` is true time in seconds, which no clock of the history shows.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from controller.bgp import Prefix, Route
from controller.safety.effects import Effect
from controller.snapshots.model import ChangeSet, ChunkHash
from controller.snapshots.projection import SiteBinding


@dataclass(frozen=True, slots=True)
class Wrote:
    """The API accepted a write: it is in the store. ``wanted``: the subtractive effects that somebody with
    the right to it asked for; anything else that it takes away is nobody's wish."""

    change_set: ChangeSet
    key: str
    wanted: frozenset[Effect]


@dataclass(frozen=True, slots=True)
class Acknowledged:
    """Whoever wrote with ``key`` was answered."""

    key: str
    change_set_id: str


@dataclass(frozen=True, slots=True)
class Refused:
    """A malformed request was answered with ``error``; ``field`` was wrong; ``changed``: something moved."""

    error: str
    field: str
    changed: bool


@dataclass(frozen=True, slots=True)
class Admitted:
    """A change-set became operational. ``takes_back``: by itself, as the additive half of a revert.

    ``announced``: where each prefix of the account was to be announced before; ``open_scopes``: the breaker's
    at that moment, that it was closed for nobody in; ``released``: a person decided to deploy it.
    """

    change_set_id: str
    account_id: str
    actor: str
    effects: tuple[Effect, ...]
    at: float
    announced: Mapping[Prefix, Collection[str]]
    open_scopes: frozenset[str]
    released: bool
    takes_back: bool


@dataclass(frozen=True, slots=True)
class HeldBack:
    """A change-set was held, with these effects and for this reason."""

    change_set_id: str
    actor: str
    account_id: str
    effects: tuple[Effect, ...]
    reason: str


@dataclass(frozen=True, slots=True)
class Handed:
    """Sites are to have what a roll-out brings, from now on."""

    rollout_id: str
    wave: int
    sites: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Looked:
    """Somebody looked at a wave: at its ``baseline``, or for its gate."""

    rollout_id: str
    wave: int
    baseline: bool
    outcome: str


@dataclass(frozen=True, slots=True)
class Journalled:
    """An agent took a command for the first time, as far as it knows."""

    site: str
    life: int
    generation: int
    account_id: str
    from_hash: ChunkHash | None
    to_hash: ChunkHash | None


@dataclass(frozen=True, slots=True)
class Announced:
    """A speaker is given a route that it did not announce: ``holding`` of ``live`` machines truly bind it."""

    site: str
    route: Route
    holding: int
    live: int


@dataclass(frozen=True, slots=True)
class Withdrew:
    """A speaker is told by its agent to drop a route. ``rollout_id``: the newest command of that account.

    ``others``: the sites that announced it at that moment, this one included.
    """

    site: str
    prefix: Prefix
    at: float
    rollout_id: str | None
    others: frozenset[str]


@dataclass(frozen=True, slots=True)
class Unbound:
    """A machine dropped bindings; ``under``: routes that its site announced on them and on nothing else."""

    site: str
    machine: str
    gone: frozenset[SiteBinding]
    under: tuple[Prefix, ...]


@dataclass(frozen=True, slots=True)
class Restarted:
    """A part began anew; ``before`` and ``after`` are what its journal added up to."""

    site: str
    before: tuple[bytes, ...]
    after: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class Calm:
    """Everything has been left to go on for as long as it takes."""


Fact = (
    Wrote | Acknowledged | Refused | Admitted | Journalled | Announced | Withdrew | Unbound | Restarted | Calm
)

"""What a copy holds, as far as anything can be taken away from it (pure)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from controller.snapshots.model import ChangeSet, Chunk


@dataclass(frozen=True, slots=True)
class PrefixFact:
    """An onboarded prefix that is there. ``asked``: its owner had asked for its removal."""

    account_id: str
    cidr: str
    asked: bool


@dataclass(frozen=True, slots=True)
class PartFact:
    """A BGP prefix or a binding that is there; ``advertised`` is False for bindings."""

    account_id: str
    prefix_id: str
    cidr: str
    advertised: bool = False


@dataclass(frozen=True, slots=True)
class ChangeSetFact:
    """A change-set. ``body`` None: this release cannot read it."""

    id: str
    account_id: str
    actor: str
    state: str
    reason: str
    body: ChangeSet | None


@dataclass(frozen=True, slots=True)
class Facts:
    """A copy at one moment, all by ids. ``head``: each account's operational chunk; None: unreadable.

    ``tombstones``: deleted prefixes, neither brought back nor purged, and whether their grace is over.
    """

    prefixes: Mapping[str, PrefixFact] = field(default_factory=dict)
    bgp_prefixes: Mapping[str, PartFact] = field(default_factory=dict)
    bindings: Mapping[str, PartFact] = field(default_factory=dict)
    tombstones: Mapping[str, bool] = field(default_factory=dict)
    head: Mapping[str, Chunk | None] = field(default_factory=dict)
    change_sets: tuple[ChangeSetFact, ...] = ()
    sites: tuple[str, ...] = ()

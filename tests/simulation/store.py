"""What survives a controller's crash: the store's tables as values, with transactions and copies."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from controller.rollout.machine import Rollout
from controller.rollout.records import Target
from controller.safety import breaker
from controller.safety.effects import Effect
from controller.safety.windows import Entry
from controller.snapshots.diff import TreeStep
from controller.snapshots.model import ChangeSet, ChunkHash
from tests.simulation.universe import ACCOUNTS, BEGINNING, SITES


@dataclass(frozen=True, slots=True)
class ChangeSetRow:
    """A change-set and how far it is."""

    change_set: ChangeSet
    state: str = "queued"
    reason: str = ""
    released_by: str = ""


@dataclass(frozen=True, slots=True)
class SnapshotRow:
    """One step of the operational state: what, who, why, the effects foreseen, and its intents."""

    step: TreeStep
    change_set: ChangeSet
    effects: tuple[Effect, ...]


@dataclass
class Store:
    """Tables; :meth:`copy` is a backup, and costs no more than the tables' outer parts."""

    change_sets: dict[str, ChangeSetRow] = field(default_factory=dict)
    keys: dict[str, str] = field(default_factory=dict)
    chunks: dict[ChunkHash, bytes] = field(default_factory=lambda: dict(BEGINNING.chunks))
    head: dict[str, ChunkHash] = field(default_factory=lambda: dict(BEGINNING.head))
    snapshots: list[SnapshotRow] = field(default_factory=list)
    rollouts: dict[str, Rollout] = field(default_factory=dict)
    targets: dict[str, dict[str, Target]] = field(
        default_factory=lambda: {
            site: {a: Target(BEGINNING.head[a], f"r-{a}") for a in ACCOUNTS} for site in SITES
        }
    )
    given: dict[str, int] = field(default_factory=lambda: dict.fromkeys(SITES, len(ACCOUNTS)))
    conflicts: dict[str, dict[str, ChunkHash]] = field(default_factory=lambda: {site: {} for site in SITES})

    ledger: list[Entry] = field(default_factory=list)
    closed: dict[str, float] = field(default_factory=dict)
    breaker: breaker.State = field(default_factory=breaker.State)

    def copy(self) -> Store:
        return Store(
            dict(self.change_sets), dict(self.keys), dict(self.chunks), dict(self.head),
            list(self.snapshots), dict(self.rollouts), {s: dict(t) for s, t in self.targets.items()},
            dict(self.given), {s: dict(c) for s, c in self.conflicts.items()}, list(self.ledger),
            dict(self.closed), self.breaker,
        )  # fmt: skip

    def write(self, change_set: ChangeSet, key: str) -> str:
        """Take a write; one that was taken under its key before is only answered again."""
        if key not in self.keys:
            self.keys[key] = change_set.id
            self.change_sets[change_set.id] = ChangeSetRow(change_set)
        return self.keys[key]

    def move(self, change_set_id: str, state: str, reason: str = "") -> None:
        self.change_sets[change_set_id] = replace(self.change_sets[change_set_id], state=state, reason=reason)

    def queued(self) -> list[str]:
        """Return the change-sets that wait, oldest first."""
        return [i for i, row in self.change_sets.items() if row.state == "queued"]

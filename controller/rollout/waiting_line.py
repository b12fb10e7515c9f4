"""The change-sets that wait, each asker's in turn, and what is asked of many of them at once."""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Protocol, TypeVar

from sqlalchemy import select
from sqlalchemy.orm import Session

from controller.guard import holds
from controller.rollout.after import First, firsts
from controller.rollout.rebase import Key, touched
from controller.snapshots import outbox, pins
from controller.snapshots import store as snapshots
from controller.snapshots.model import ChangeSet
from controller.snapshots.outbox import DamagedChangeSetError, InLine
from controller.snapshots.tables import ChangeSetRow
from controller.store.many import those
from controller.timeline.log import foresee

MOST_QUEUED = 10_000
"""Change-sets that are looked at in one transaction, most of them behind staged roll-outs."""

LOOKED_UP = 16
"""Change-sets that are looked up at once, to begin with; twice as many each time."""

MOST_LOOKED_UP = 256


class Asked(Protocol):
    """What is known of whose a change-set is."""

    @property
    def account_id(self) -> str:
        """Its account."""
        ...

    @property
    def actor(self) -> str:
        """Who asked for it."""
        ...


A = TypeVar("A", bound=Asked)


def askers(rows: Sequence[A]) -> Mapping[str, str]:
    """Return with whom each account's change-sets come: with whoever asked for its oldest."""
    found: dict[str, str] = {}
    for row in rows:
        found.setdefault(row.account_id, row.actor)
    return found


def in_turn(rows: Sequence[A], had_turn: Collection[str] = ()) -> Iterator[A]:
    """Give one of each asker after the other, so that whoever asks for very much delays nobody else.

    An account's change-sets keep their order. Askers who ``had_turn`` come behind the others, to begin with.
    """
    of = askers(rows)
    lines: dict[str, deque[A]] = {}
    for row in sorted(rows, key=lambda row: of[row.account_id] in had_turn):
        lines.setdefault(of[row.account_id], deque()).append(row)
    while lines:
        for asker in list(lines):
            yield lines[asker].popleft()
            if not lines[asker]:
                del lines[asker]


class Queue:
    """The objects that change-sets which wait are about, by account: nothing overtakes another there."""

    def __init__(self) -> None:
        self._waiting: dict[str, tuple[set[Key], str]] = {}

    def behind(self, change_set: ChangeSet) -> str | None:
        """Return why it has to wait for one that waits."""
        keys, first = self._waiting.get(change_set.account_id, (set(), ""))
        return f"it waits for change-set {first}" if keys & touched(change_set.changes) else None

    def add(self, change_set: ChangeSet) -> None:
        """Let later ones about the same objects wait, too."""
        keys, _ = self._waiting.setdefault(change_set.account_id, (set(), change_set.id))
        keys |= touched(change_set.changes)


@dataclass(slots=True)
class Round:
    """One way through the whole line, in as many transactions as it takes.

    What was found to wait waits for something that ends outside of the round: it is not looked at again in
    it (``left``: their places), and what is about the same objects goes on waiting for it. Turns go on where
    the last transaction stopped (``had_turn``: whose turn it was). Whoever undoes one of the transactions
    begins another round.
    """

    queue: Queue = field(default_factory=Queue)
    left: set[int] = field(default_factory=set)
    had_turn: set[str] = field(default_factory=set)

    def leave(self, row: ChangeSetRow, change_set: ChangeSet) -> None:
        """Let a change-set wait until the next round."""
        self.queue.add(change_set)
        self.left.add(row.seq)


@dataclass(frozen=True, slots=True)
class LookedUp:
    """A change-set that waits, with what is known of it and of others that were looked up with it.

    ``change_set``: an error when it does not decode. ``judged``: it may have been judged before.
    ``firsts``: the first halves that second ones of these are after. ``at_hand``: rows that the session finds
    without asking as long as this is kept.
    """

    row: ChangeSetRow
    change_set: ChangeSet | DamagedChangeSetError
    pinned: bool
    judged: bool
    firsts: Mapping[str, First]
    at_hand: Sequence[object] = field(repr=False)


def looked_up(session: Session, line: Iterator[InLine]) -> Iterator[LookedUp]:
    """Give what waits in this order, and ask for the next ones together."""
    size = LOOKED_UP
    while some := list(islice(line, size)):
        yield from _look_up(session, some)
        size = min(2 * size, MOST_LOOKED_UP)


def _look_up(session: Session, some: Sequence[InLine]) -> list[LookedUp]:
    accounts, ids = [w.account_id for w in some], [w.id for w in some]
    rows = {row.id: row for row in those(session, select(ChangeSetRow), ChangeSetRow.id, ids)}
    decoded = {id_: _decoded(row) for id_, row in rows.items()}
    good = [c for c in decoded.values() if isinstance(c, ChangeSet)]
    known = firsts(session, good)
    pinned, judged = pins.pinned(session, accounts), holds.judged_before(session, ids)
    may_go = [c.account_id for c in good if c.after is None or (c.after in known and known[c.after].gone)]
    at_hand = snapshots.heads_and_chunks(session, may_go)
    foresee(session, accounts)
    return [
        LookedUp(rows[w.id], decoded[w.id], w.account_id in pinned, w.id in judged, known, at_hand)
        for w in some
        if w.id in rows
    ]


def _decoded(row: ChangeSetRow) -> ChangeSet | DamagedChangeSetError:
    try:
        return outbox.decode(row)
    except DamagedChangeSetError as error:
        return error

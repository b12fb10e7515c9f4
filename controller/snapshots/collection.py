"""What of the operational state's history may be let go (pure).

A snapshot is kept while it is recent, or something stands on it (a rollback, a pin); the newest is always
kept. What a kept snapshot's tree is made of is kept with it: for each account the newest entry at or before
it, which may belong to a snapshot that is not kept itself. Such a one stays in the record as *thinned*: it
tells what it changed, and is no tree to go back to any more.

Chunks go when nothing refers to them: no entry that stays, no head, no site's tree or what a site is known to
hold, no roll-out that stays, no rollback. Laws: ``tests/properties/test_collection.py``.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta


@dataclass(frozen=True, slots=True)
class Keep:
    """How much of the history stays: the ``newest``, and whatever is younger than ``age``."""

    newest: int = 1000
    age: timedelta = timedelta(days=90)


@dataclass(frozen=True, slots=True)
class Past:
    """A snapshot as far as its age matters; ``thinned``: its tree is not whole any more."""

    seq: int
    at: datetime
    thinned: bool = False


@dataclass(frozen=True, slots=True)
class Entry:
    """What a snapshot changed for one account; ``hashes``: from and to, None left out."""

    seq: int
    account_id: str
    hashes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Holder:
    """A roll-out and what it refers to. ``settled``: it is over, at every site, and nothing stands on it."""

    id: str
    seq: int
    hashes: tuple[str, ...]
    settled: bool


@dataclass(frozen=True, slots=True)
class History:
    """All that there is.

    ``named``: sequence numbers of snapshots that something stands on; ``live``: chunks that something outside
    the history refers to.
    """

    snapshots: Sequence[Past]
    entries: Sequence[Entry]
    rollouts: Sequence[Holder]
    chunks: Collection[str]
    named: Collection[int]
    live: Collection[str]


@dataclass(frozen=True, slots=True)
class Collected:
    """What goes. ``thinned``: snapshots whose record stays and whose tree is not whole from now on."""

    thinned: frozenset[int]
    snapshots: frozenset[int]
    entries: frozenset[tuple[int, str]]
    rollouts: frozenset[str]
    chunks: frozenset[str]


def collect(history: History, keep: Keep, now: datetime) -> Collected:
    """Return what may go at ``now``, an aware time."""
    kept = _kept(history, keep, now)
    needed = _needed(history.entries, sorted(kept))
    held = {seq for seq, _ in needed} | kept
    let_go = {s.seq for s in history.snapshots if s.seq not in kept}
    settled = {r.id for r in history.rollouts if r.settled and r.seq in let_go}
    referenced = set(history.live)
    for entry in history.entries:
        if (entry.seq, entry.account_id) in needed:
            referenced.update(entry.hashes)
    for rollout in history.rollouts:
        if rollout.id not in settled:
            referenced.update(rollout.hashes)
    return Collected(
        thinned=frozenset(s.seq for s in history.snapshots if s.seq in let_go & held and not s.thinned),
        snapshots=frozenset(let_go - held),
        entries=frozenset((e.seq, e.account_id) for e in history.entries) - needed,
        rollouts=frozenset(settled),
        chunks=frozenset(history.chunks) - referenced,
    )


def _kept(history: History, keep: Keep, now: datetime) -> set[int]:
    """Return the snapshots whose trees stay whole; one that was thinned before is not among them."""
    whole = sorted(s.seq for s in history.snapshots if not s.thinned)
    recent = {s.seq for s in history.snapshots if not s.thinned and now - s.at < keep.age}
    newest = set(whole[-max(1, keep.newest) :])
    return recent | newest | (set(history.named) & set(whole))


def _needed(entries: Iterable[Entry], kept: Sequence[int]) -> set[tuple[int, str]]:
    """Return the entries that the kept snapshots' trees are made of, and those of their own."""
    by_account: dict[str, list[int]] = {}
    for entry in entries:
        by_account.setdefault(entry.account_id, []).append(entry.seq)
    needed: set[tuple[int, str]] = set()
    own = set(kept)
    for account_id, seqs in by_account.items():
        seqs.sort()
        for here, following in zip(seqs, (*seqs[1:], None), strict=True):
            # It is seen from a kept snapshot at or after it, and before the next of the account.
            first = bisect_left(kept, here)
            seen = first < len(kept) and (following is None or kept[first] < following)
            if seen or here in own:
                needed.add((here, account_id))
    return needed

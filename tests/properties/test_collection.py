"""Collection never takes what is live, referenced, or part of a tree that stays: over random histories."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from controller.snapshots.collection import Collected, Entry, History, Holder, Keep, Past, collect

BEGAN = datetime(2026, 1, 1, tzinfo=UTC)
ACCOUNTS = ("acme", "globex", "initech")
CHUNKS = [f"{a}{n}" for a in ACCOUNTS for n in range(4)]


@dataclass
class Told:
    """A history as it was made, so that every old tree is known without the code under test."""

    snapshots: list[Past] = field(default_factory=list)
    entries: list[Entry] = field(default_factory=list)
    rollouts: list[Holder] = field(default_factory=list)
    trees: dict[int, dict[str, str]] = field(default_factory=dict)


@st.composite
def histories(draw: st.DrawFn) -> tuple[History, Keep, datetime, Told]:
    told, tree, at = Told(), dict[str, str](), BEGAN
    for seq in range(1, draw(st.integers(1, 14)) + 1):
        at += timedelta(hours=draw(st.integers(0, 5)))
        account = draw(st.sampled_from(ACCOUNTS))
        new = draw(st.sampled_from([c for c in CHUNKS if c.startswith(account)]))
        hashes = tuple(h for h in (tree.get(account), new) if h is not None)
        tree = tree | {account: new}
        told.snapshots.append(Past(seq, at))
        told.entries.append(Entry(seq, account, hashes))
        told.rollouts.append(Holder(f"ro{seq}", seq, hashes, draw(st.booleans())))
        told.trees[seq] = dict(tree)
    named = draw(st.sets(st.sampled_from(range(1, len(told.snapshots) + 1)), max_size=2))
    live = set(tree.values()) | draw(st.sets(st.sampled_from(CHUNKS), max_size=2))
    chunks = {h for e in told.entries for h in e.hashes} | live | draw(st.sets(st.sampled_from(CHUNKS)))
    history = History(told.snapshots, told.entries, told.rollouts, chunks, named, live)
    keep = Keep(draw(st.integers(0, 4)), timedelta(hours=draw(st.integers(0, 20))))
    return history, keep, at + timedelta(hours=draw(st.integers(0, 10))), told


def tree_at(entries: list[Entry], seq: int) -> dict[str, str]:
    """Put a tree together from entries, as the store does."""
    newest: dict[str, Entry] = {}
    for entry in sorted(entries, key=lambda e: e.seq):
        if entry.seq <= seq:
            newest[entry.account_id] = entry
    return {a: e.hashes[-1] for a, e in newest.items()}


def left(history: History, gone: Collected) -> tuple[History, list[Entry]]:
    """Return the history after the collection."""
    entries = [e for e in history.entries if (e.seq, e.account_id) not in gone.entries]
    snapshots = [
        Past(s.seq, s.at, s.thinned or s.seq in gone.thinned)
        for s in history.snapshots
        if s.seq not in gone.snapshots
    ]
    rollouts = [r for r in history.rollouts if r.id not in gone.rollouts]
    chunks = set(history.chunks) - gone.chunks
    return History(snapshots, entries, rollouts, chunks, history.named, history.live), entries


@given(histories())
def test_nothing_live_or_referenced_goes(drawn: tuple[History, Keep, datetime, Told]) -> None:
    history, keep, now, _ = drawn
    after, entries = left(history, collect(history, keep, now))
    assert set(history.live) <= set(after.chunks)
    for entry in entries:
        assert set(entry.hashes) <= set(after.chunks)
    for rollout in after.rollouts:
        assert set(rollout.hashes) <= set(after.chunks)
    assert {r.id for r in history.rollouts if not r.settled} <= {r.id for r in after.rollouts}
    assert {e.seq for e in entries} <= {s.seq for s in after.snapshots}, "an entry belongs to a snapshot"


@given(histories())
def test_recent_named_and_newest_snapshots_stay_whole(
    drawn: tuple[History, Keep, datetime, Told],
) -> None:
    history, keep, now, told = drawn
    after, entries = left(history, collect(history, keep, now))
    whole = {s.seq for s in after.snapshots if not s.thinned}
    recent = {s.seq for s in history.snapshots if now - s.at < keep.age}
    newest = sorted(s.seq for s in history.snapshots)[-max(1, keep.newest) :]
    assert recent | set(newest) | set(history.named) <= whole
    for seq in whole:
        assert tree_at(entries, seq) == told.trees[seq]


@given(histories())
def test_collecting_again_finds_nothing_more(drawn: tuple[History, Keep, datetime, Told]) -> None:
    history, keep, now, _ = drawn
    after, _ = left(history, collect(history, keep, now))
    again = collect(after, keep, now)
    assert again == Collected(*[frozenset()] * 5)


@given(histories())
def test_it_does_let_go(drawn: tuple[History, Keep, datetime, Told]) -> None:
    """What nothing refers to goes: a rule that keeps everything would hold all the other laws."""
    history, keep, now, _ = drawn
    gone = collect(history, keep, now)
    after, entries = left(history, gone)
    referenced = {h for e in entries for h in e.hashes} | {h for r in after.rollouts for h in r.hashes}
    assert set(after.chunks) == (referenced | set(history.live)) & set(history.chunks)

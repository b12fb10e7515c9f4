"""Snapshots in the database: history, trees of old, and damage."""

from __future__ import annotations

import itertools
from datetime import UTC, datetime
from pathlib import Path

import pytest
from sqlalchemy import delete, select, update

from controller.bgp import Prefix
from controller.snapshots import outbox
from controller.snapshots import store as snapshots
from controller.snapshots.compile import candidate
from controller.snapshots.diff import diff_trees
from controller.snapshots.model import Change, ChangeSet, ChunkHash, DamagedChunkError, PrefixObject
from controller.snapshots.naming import SnapshotNameError
from controller.snapshots.store import UnknownSnapshotError
from controller.snapshots.tables import ChangeSetRow, ChunkRow, SnapshotRow
from controller.store import Store, open_store
from tests.stores import a_store

pytestmark = pytest.mark.stores


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return open_store(a_store(tmp_path / "herald.db"))


def commit(store: Store, number: int, account: str, cidr: str) -> str:
    """Onboard ``cidr`` for ``account``; return the snapshot's id."""
    change = Change(prefix=PrefixObject(f"p{number}", Prefix(cidr), None))
    change_set = ChangeSet(f"cs{number}", account, "test", f"why {number}", "2026-01-01T00:00:00Z", (change,))
    with store.write() as session:
        head = snapshots.head_of(session, account)
        old = None if head is None else snapshots.chunk(session, head)
        found = candidate(snapshots.head(session), old, change_set)
        return snapshots.commit(session, found, change_set).id


def test_every_old_tree_can_be_put_together_again(store: Store) -> None:
    ids, trees = [], []
    for number, account in enumerate(["acme", "globex", "acme", "initech", "globex"]):
        ids.append(commit(store, number, account, f"198.18.{number}.0/24"))
        with store.read() as session:
            trees.append(snapshots.head(session))
    with store.read() as session:
        for snapshot_id, tree in zip(ids, trees, strict=True):
            assert snapshots.tree_at(session, snapshot_id) == tree
        assert [r.id for r in snapshots.newest(session, 10)] == ids[::-1]
        assert [r.parent_id for r in snapshots.newest(session, 10)] == [*ids[-2::-1], None]
        acme = snapshots.newest(session, 10, account_id="acme")
        assert [r.reason for r in acme] == ["why 2", "why 0"]
        with pytest.raises(SnapshotNameError, match="'zz' names no snapshot"):
            snapshots.find(session, "zz")
        missing = next(d for d in "0123456789abcdef" if not any(i.startswith(d) for i in ids))
        with pytest.raises(UnknownSnapshotError, match="no snapshot has an id that begins with"):
            snapshots.find(session, missing)
        assert snapshots.find(session, ids[2][:16]).id == ids[2]


def test_a_snapshot_is_named_by_place_and_by_time(store: Store) -> None:
    ids = [commit(store, number, "acme", f"198.18.{number}.0/24") for number in range(3)]
    with store.write() as session:
        for row in session.scalars(select(SnapshotRow)):
            row.at = datetime(2026, 2, 20, 17, 50 + 2 * row.seq, tzinfo=UTC)
    with store.read() as session:
        named = {
            "HEAD": 2, "HEAD~1": 1, "HEAD~2": 0, "@2026-02-20T17:56Z": 2, "@2026-02-20T17:55:59Z": 1,
            "@2026-02-20T18:54+01:00": 1, "@2026-02-21": 2, "@-1s": 2,
        }  # fmt: skip
        for name, number in named.items():
            assert snapshots.find(session, name).id == ids[number], name
        for name in ("HEAD~3", "@2026-02-20T17:51Z"):
            with pytest.raises(UnknownSnapshotError, match="herald snapshots list"):
                snapshots.find(session, name)
        for name in ("head", "HEAD~", "HEAD~x", "@", "@yesterday", "@-1w", "%", "", "@-999999999d"):
            with pytest.raises(SnapshotNameError, match=r"names no snapshot|is no time"):
                snapshots.find(session, name)


def test_what_differs_is_told_from_what_was_changed_between(store: Store) -> None:
    ids = [
        commit(store, number, account, f"198.18.{number}.0/24")
        for number, account in enumerate(["acme", "globex", "acme", "initech", "acme"])
    ]
    with store.read() as session:
        trees = [snapshots.tree_at(session, i) for i in ids]
        seqs = [snapshots.find(session, i).seq for i in ids]
        for older, newer in itertools.combinations_with_replacement(range(len(ids)), 2):
            found = snapshots.differing(session, seqs[older], seqs[newer])
            assert found == diff_trees(trees[older], trees[newer])
        acme = snapshots.differing(session, seqs[0], seqs[4], accounts=["acme", "nobody"])
        assert [s.account_id for s in acme] == ["acme"]
        assert snapshots.hashes_at(session, ["acme", "initech"], seqs[1]) == {"acme": trees[1]["acme"]}


def test_a_damaged_chunk_is_found_by_its_hash(store: Store) -> None:
    commit(store, 1, "acme", "198.18.1.0/24")
    with store.write() as session:
        hash_ = snapshots.head_of(session, "acme")
        assert hash_ is not None
        assert snapshots.knows(session, hash_) and not snapshots.knows(session, ChunkHash("0" * 64))
        session.execute(update(ChunkRow).values(body=b"{}"))
    with store.read() as session, pytest.raises(DamagedChunkError, match="is damaged in the database"):
        snapshots.chunk(session, hash_)
    with store.read() as session, pytest.raises(DamagedChunkError, match="missing from the database"):
        snapshots.chunk(session, ChunkHash("0" * 64))


def test_the_outbox_keeps_order_and_damage_is_said(store: Store) -> None:
    sets = [ChangeSet(f"cs{n}", "acme", "test", "", "2026-01-01T00:00:00Z", ()) for n in (3, 1, 2)]
    with store.write() as session:
        for change_set in sets:
            outbox.append(session, change_set)
    with store.write() as session:
        rows = outbox.queued(session, 10)
        assert [outbox.decode(r) for r in rows] == sets
        outbox.move(session, "cs3", "done", "")
        outbox.move(session, "gone", "done", "")
        session.execute(update(ChangeSetRow).where(ChangeSetRow.id == "cs1").values(body=b"nonsense"))
    with store.read() as session:
        rows = outbox.queued(session, 10)
        assert [r.id for r in rows] == ["cs1", "cs2"]
        with pytest.raises(outbox.DamagedChangeSetError, match="change-set cs1 does not decode"):
            outbox.decode(rows[0])


def test_a_write_that_fails_queues_nothing(store: Store) -> None:
    change_set = ChangeSet("cs1", "acme", "test", "", "2026-01-01T00:00:00Z", ())
    with pytest.raises(ZeroDivisionError), store.write() as session:
        outbox.append(session, change_set)
        raise ZeroDivisionError
    with store.write() as session:
        assert outbox.queued(session, 10) == []
        session.execute(delete(ChangeSetRow))

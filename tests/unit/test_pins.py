"""What an account's pin keeps from compiling, and what passes."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from controller.bgp import Prefix
from controller.rollout import admission, records, waiting_line
from controller.rollout.tables import RolloutRow
from controller.snapshots import outbox, pins
from controller.snapshots import store as snapshots
from controller.snapshots.model import BgpPrefixObject, BindingObject, Change, ChangeSet, PrefixObject
from controller.snapshots.rollback_tables import PinRow, RollbackRow
from controller.snapshots.tables import ChangeSetRow
from controller.store import Store, open_store
from tests.guarding import unguarded
from tests.stores import a_store

pytestmark = pytest.mark.stores
CIDR = Prefix("192.0.2.0/24")
NOW = datetime(2026, 2, 20, tzinfo=UTC)
SITES = ("site1", "site2")


@pytest.fixture
def store(tmp_path: Path) -> Store:
    opened = open_store(a_store(tmp_path / "herald.db"))
    with opened.write() as session:
        records.join_sites(session, SITES)
    return opened


def onboarding(account: str, *, advertised: bool) -> tuple[Change, ...]:
    return (
        Change(prefix=PrefixObject(f"{account}-p", CIDR, None)),
        Change(binding=BindingObject(f"{account}-b", f"{account}-p", CIDR, "cdn")),
        toggled(account, advertised),
    )


def toggled(account: str, advertised: bool) -> Change:
    return Change(bgp_prefix=BgpPrefixObject(f"{account}-g", f"{account}-p", CIDR, None, advertised))


def submit(
    store: Store, id_: str, account: str, actor: str, *changes: Change, lane: str | None = None
) -> str:
    """Queue a change-set, let what waits be admitted, and return its state."""
    made = ChangeSet(id_, account, actor, "why", "2026-02-20T00:00:00Z", changes, lane=lane)
    with store.write() as session:
        outbox.append(session, made)
    with store.write() as session:
        admission.admit_next(session, SITES, lambda _: None, 0.0, unguarded())
    return state(store, id_)


def state(store: Store, id_: str) -> str:
    with store.read() as session:
        row = next(r for r in session.query(ChangeSetRow) if r.id == id_)
        return row.state


def pin(store: Store, account: str) -> None:
    with store.write() as session:
        made = RollbackRow(
            id="rb1", snapshot_id="5" * 64, based_on=None, actor="operator:o", reason="clean-up", at=NOW
        )
        session.add(made)
        session.flush()
        session.add(PinRow(account_id=account, rollback_seq=made.seq, since=NOW))


def test_under_a_pin_only_the_owners_additive_changes_and_the_rollback_itself_compile(store: Store) -> None:
    assert submit(store, "cs1", "acme", "customer:c", *onboarding("acme", advertised=False)) == "rolling"
    assert submit(store, "cs2", "globex", "customer:g", *onboarding("globex", advertised=True)) == "rolling"
    pin(store, "acme")
    assert submit(store, "cs3", "acme", "task:t", toggled("acme", True)) == "held"
    assert submit(store, "cs4", "acme", "customer:c", toggled("acme", True)) == "rolling"
    assert submit(store, "cs5", "acme", "customer:c", toggled("acme", False)) == "held"
    assert submit(store, "cs6", "acme", "operator:o", toggled("acme", False), lane="rollback") == "rolling"
    # Another account has nothing to do with it.
    assert submit(store, "cs7", "globex", "customer:g", toggled("globex", False)) == "rolling"
    with store.read() as session:
        found = pins.pin_of(session, "acme")
        assert found is not None
        assert sorted(pins.open_decisions(session, found)) == ["cs3", "cs5"]
        row = next(r for r in session.query(ChangeSetRow) if r.id == "cs5")
        assert "rollback rb1" in row.reason and "herald pins decide" in row.reason
        head = snapshots.head_of(session, "acme")
        assert head is not None
        assert not snapshots.chunk(session, head).bgp_prefixes[0].advertised


def test_what_was_kept_back_stays_out_of_every_later_candidate(store: Store) -> None:
    """A held delete by a task does not ride along with the owner's next toggle."""
    submit(store, "cs1", "acme", "customer:c", *onboarding("acme", advertised=False))
    pin(store, "acme")
    assert submit(store, "cs2", "acme", "task:t", Change(remove=("binding", "acme-b"))) == "held"
    assert submit(store, "cs3", "acme", "customer:c", toggled("acme", True)) == "rolling"
    with store.read() as session:
        head = snapshots.head_of(session, "acme")
        assert head is not None
        assert [b.id for b in snapshots.chunk(session, head).bindings] == ["acme-b"]


def test_a_rollback_does_not_wait_for_the_roll_out_that_takes_away_what_it_restores(store: Store) -> None:
    """It is restored where the roll-out has been, and stays where it has not."""
    submit(store, "cs1", "acme", "customer:c", *onboarding("acme", advertised=True))
    finish(store)
    with store.read() as session:
        good = snapshots.head_of(session, "acme")
    assert submit(store, "cs2", "acme", "operator:o", toggled("acme", False), lane="staged") == "rolling"
    # An owner's change of the same object waits for it; the additive half of a rollback does not.
    assert submit(store, "cs3", "acme", "customer:c", toggled("acme", True)) == "queued"
    with store.write() as session:
        outbox.move(session, "cs3", "failed", "")
    assert submit(store, "cs4", "acme", "operator:o", toggled("acme", True), lane="rollback") == "rolling"
    with store.read() as session:
        assert snapshots.head_of(session, "acme") == good
        assert {records.targets(session, site)["acme"].hash for site in SITES} == {good}


def finish(store: Store) -> None:
    """Let all roll-outs have come to their end."""
    with store.write() as session:
        for row in session.query(RolloutRow):
            row.state = "done"


def test_whoever_asks_for_very_much_delays_nobody_else(store: Store) -> None:
    """Such as a rollback of very many accounts: each asker has a turn; an account's order stays."""
    many = [f"acc{n}" for n in range(40)]
    with store.write() as session:
        for n, account in enumerate((*many, *many)):
            kind = (Change(prefix=PrefixObject(f"{account}-{n}", CIDR, None)),) if n < 40 else ()
            outbox.append(
                session, ChangeSet(f"r{n}", account, "operator:o", "", "2026-02-20T00:00:00Z", kind)
            )
        mine = onboarding("acme", advertised=True)
        outbox.append(session, ChangeSet("mine", "acme", "customer:c", "", "2026-02-20T00:00:00Z", mine))
        order = [row.id for row in waiting_line.in_turn(outbox.queued(session, 1000))]
    assert order[:3] == ["r0", "mine", "r1"]
    assert [id_ for id_ in order if id_ != "mine"] == [f"r{n}" for n in range(80)]
    with store.write() as session:
        admitted = admission.admit_next(session, SITES, lambda _: None, 0.0, limit=4)
    assert "mine" in {a.change_set_id for a in admitted} and len(admitted) == 4

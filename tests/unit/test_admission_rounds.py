"""Many change-sets at once: the store is asked no more for many than for few, and nothing overtakes."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import event
from sqlalchemy.orm import Session

from controller.guard import freezes
from controller.guard.tables import FreezeRow
from controller.rollout import records
from controller.rollout.admission import Admission, admit_next
from controller.rollout.carried import intents_between
from controller.rollout.events import SiteHeard
from controller.rollout.machine import step
from controller.rollout.states import SiteEvent
from controller.rollout.waiting_line import Round
from controller.snapshots import outbox
from controller.snapshots import store as snapshots
from controller.snapshots.model import Change, ChangeSet
from controller.store import Store, open_store
from tests.driving import ACME, SITES, change, onboard, toggle
from tests.guarding import asked, unguarded
from tests.stores import a_store

pytestmark = pytest.mark.stores


@pytest.fixture
def store(folder: Path) -> Iterator[Store]:
    opened = open_store(a_store(folder / "herald.db"))
    with opened.write() as session:
        records.join_sites(session, SITES)
    yield opened
    opened.close()


def queue(store: Store, *change_sets: ChangeSet) -> None:
    with store.write() as session:
        for change_set in change_sets:
            outbox.append(session, change_set)


def admit(store: Store, this_round: Round | None = None, *, limit: int = 100) -> list[Admission]:
    with store.write() as session:
        return admit_next(
            session, SITES, lambda _: None, 0.0, unguarded(), limit=limit, this_round=this_round
        )


@contextlib.contextmanager
def questions(session: Session) -> Iterator[list[str]]:
    """Collect what is heard of the store by SELECT."""
    heard: list[str] = []

    def hear(_connection, _cursor, statement: str, *_: object) -> None:
        if statement.startswith("SELECT"):
            heard.append(statement)

    engine = session.get_bind()
    event.listen(engine, "after_cursor_execute", hear)
    try:
        yield heard
    finally:
        event.remove(engine, "after_cursor_execute", hear)


def delete(account: str) -> ChangeSet:
    """Return what withdraws at once, and waits with what it removes."""
    gone = (("bgp_prefix", f"{account}-g"), ("binding", f"{account}-b"), ("prefix", f"{account}-p"))
    return change(account, *(Change(remove=name) for name in gone))  # type: ignore[arg-type]


def test_a_look_at_what_waits_asks_as_much_for_many_as_for_few(store: Store) -> None:
    counts = {}
    names = [f"a{n}" for n in range(12)]
    for few in (names[:2], names[2:]):
        queue(store, *(onboard(a, ACME) for a in few))
        admit(store)
        queue(store, *(delete(a) for a in few))
        assert len(admit(store)) == len(few)
        with store.write() as session, questions(session) as found:
            assert admit_next(session, SITES, lambda _: None, 0.0, unguarded()) == []
        counts[len(few)] = len(found)
    assert counts[10] == counts[2]


def test_writing_down_many_asks_as_much_as_writing_down_one(store: Store) -> None:
    names = [f"a{n}" for n in range(9)]
    queue(store, *(onboard(a, ACME) for a in names))
    rollouts = []
    for admission in admit(store):
        assert admission.tracked is not None
        rollout = admission.tracked.rollout
        for site in SITES:
            rollout, _ = step(rollout, SiteHeard(site, SiteEvent.SETTLED, ""), 1.0)
        rollouts.append(rollout)
    counts = []
    for some in (rollouts[:1], rollouts[1:]):
        with store.write() as session, questions(session) as found:
            records.save(session, some, 1.0)
        counts.append(len(found))
    assert counts[0] == counts[1]
    with store.read() as session:
        assert {t.rollout.state.value for t in records.load_open(session, 1.0)} == set(), "all are done"


def test_nothing_overtakes_what_waits_since_an_earlier_transaction_of_the_round(store: Store) -> None:
    queue(store, onboard("acme", ACME))
    admit(store)
    queue(store, delete("acme"))
    admit(store)  # withdrawn; what removes waits
    this_round = Round()
    assert admit(store, this_round) == []
    late = change("acme", Change(remove=("binding", "acme-b")))
    beside = onboard("globex", ACME)
    queue(store, late, beside)
    admitted = admit(store, this_round)
    assert [a.change_set_id for a in admitted] == [beside.id]
    with store.read() as session:
        (_, kept) = outbox.queued(session, 10)
        assert kept.id == late.id and kept.reason.startswith("it waits for change-set")


def test_turns_go_on_where_the_last_transaction_stopped(store: Store) -> None:
    """Three askers have more in the line than one transaction admits; the fourth need not wait for it all."""
    many = [
        change(f"a{n % 3}-{n}", *onboard(f"a{n % 3}-{n}", ACME).changes, actor=f"o{n % 3}") for n in range(9)
    ]
    mine = change("acme", *onboard("acme", ACME).changes, actor="customer:c")
    queue(store, *many, mine)
    this_round, order = Round(), list[str]()
    while admitted := admit(store, this_round, limit=2):
        order += [a.change_set_id for a in admitted]
    assert order[:5] == [many[0].id, many[1].id, many[2].id, mine.id, many[3].id]
    assert sorted(order) == sorted([mine.id, *(c.id for c in many)])


def test_the_counts_of_what_is_announced_follow_within_a_transaction(store: Store) -> None:
    """They are asked for once; the next transaction, which asks again, finds the same."""
    queue(store, onboard("acme", ACME), onboard("globex", ACME), toggle("acme", ACME, False))
    with store.write() as session:
        assert snapshots.announced(session, "acme") == (0, 0, 0)
        admit_next(session, SITES, lambda _: None, 0.0, unguarded(), limit=2)
        assert snapshots.announced(session, "acme") == (1, 2, 2)
        admit_next(session, SITES, lambda _: None, 0.0, unguarded())
        within = snapshots.announced(session, "acme")
    with store.read() as session:
        assert within == snapshots.announced(session, "acme") == (0, 1, 1)


def test_a_freeze_that_comes_in_the_transaction_is_seen(store: Store) -> None:
    now = datetime.now(UTC)
    with store.write() as session:
        assert freezes.values(session, now) == ()
        session.add(
            FreezeRow(
                id="f1",
                scope="fleet",
                kind="all",
                owner="operator:o1",
                reason="",
                created_at=now,
                account_id=None,
            )
        )
        assert [f.id for f in freezes.values(session, now)] == ["f1"]


def test_intents_of_one_step_and_of_several_are_found(store: Store) -> None:
    """A site that is one step behind is the usual case, and asked for with others; the rest is searched."""
    signed, hashes = {}, {}
    for account in ("acme", "globex"):
        off = asked(toggle(account, ACME, False), "withdraw", ACME)
        again = asked(toggle(account, ACME, True), "withdraw", ACME)  # says nothing, and travels along
        signed[account] = [off.intents[0], again.intents[0]]
        hashes[account] = []
        for change_set in (onboard(account, ACME), off, again):
            queue(store, change_set)
            (admitted,) = admit(store)
            assert admitted.tracked is not None
            hashes[account].append(admitted.tracked.rollout.to_hash)
    now = datetime.now(UTC)
    (acme_on, acme_off, acme_again), (_, _, globex_again) = hashes["acme"], hashes["globex"]
    assert acme_on == acme_again, "one chunk, twice: the history says which of them a site is to have"
    with store.read() as session:
        with questions(session) as found:
            one = intents_between(session, {"acme": (acme_off, acme_again)}, now)
        assert (dict(one), len(found)) == ({"acme": (signed["acme"][1],)}, 2)
        both = {"acme": (acme_off, acme_again), "globex": (None, globex_again)}
        assert dict(intents_between(session, both, now)) == {
            "acme": (signed["acme"][1],),
            "globex": tuple(reversed(signed["globex"])),
        }
        late = intents_between(session, both, now + timedelta(days=1))
        assert dict(late) == {"acme": (), "globex": ()}, "none that has expired"

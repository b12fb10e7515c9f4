"""What is incremental does not grow with the total: counted in steps of work, not timed.

SQLite says how many steps its virtual machine takes; trees say which accounts they were asked about.
``scripts/bench snapshots`` has the times, at 1,000,000 BGP prefixes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

import pytest
from sqlalchemy.orm import Session

from controller.snapshots import outbox
from controller.snapshots import store as snapshots
from controller.snapshots.compile import candidate
from controller.snapshots.model import Change, ChunkHash
from controller.store import Store, open_store
from tests.scale.snapshots import Fleet, admit, change_set, counted, named

SMALL, LARGE, EACH = 40, 1_200, 4
ALLOWED = 1.25
"""Deeper trees cost a little; thirty times the accounts must not cost thirty times as much."""


@pytest.fixture(scope="module")
def fleets(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[tuple[Fleet, Store]]]:
    made = []
    for accounts in (SMALL, LARGE):
        fleet = Fleet(accounts, EACH)
        fleet.compile()
        store = open_store(tmp_path_factory.mktemp("scale") / "herald.db")
        fleet.fill(store)
        made.append((fleet, store))
    yield made
    for _, store in made:
        store.close()


def toggle(fleet: Fleet, account: str, count: int = 1) -> tuple[Change, ...]:
    return fleet.withdrawn(account, count)[1]


def admission(fleet: Fleet, session: Session) -> None:
    admit(session)


def difference(fleet: Fleet, session: Session) -> None:
    newest = snapshots.newest_seq(session)
    assert [s.account_id for s in snapshots.differing(session, newest - 1, newest)] == [named(7)]


@pytest.mark.parametrize("work", [admission, difference])
def test_the_store_does_no_more_work_for_one_account_in_a_larger_fleet(
    fleets: list[tuple[Fleet, Store]], work: Callable[[Fleet, Session], None]
) -> None:
    steps = []
    for fleet, store in fleets:
        with store.write() as session:
            change = fleet.bound(named(7), 1 + (work is difference))
            outbox.append(session, change_set(named(7), change, number=id(work)))
            if work is difference:
                admit(session)
        with store.write() as session, counted(session) as taken:
            work(fleet, session)
        with store.write() as session, counted(session) as sum_of_all:
            snapshots.announced(session, named(7))
        # One question does grow, and is asked once: how many prefixes all announce (a sum over heads).
        steps.append(taken[0] - (sum_of_all[0] if work is admission else 0))
    small, large = steps
    assert small > 100, "it was counted"
    assert large <= ALLOWED * small


class Asked(Mapping[str, ChunkHash]):
    """A tree that can be asked about an account, and never walked through."""

    def __init__(self, tree: Mapping[str, ChunkHash]) -> None:
        self.tree, self.about = tree, set[str]()

    def __getitem__(self, account: str) -> ChunkHash:
        self.about.add(account)
        return self.tree[account]

    def __iter__(self) -> Iterator[str]:
        raise AssertionError("the whole tree is walked through")

    def __len__(self) -> int:
        raise AssertionError("the whole tree is counted")


def test_compiling_one_account_looks_at_that_account_alone(fleets: list[tuple[Fleet, Store]]) -> None:
    fleet, _ = fleets[1]
    tree = Asked(fleet.tree)
    candidate(tree, fleet.chunk(named(7)), change_set(named(7), *toggle(fleet, named(7))))
    assert tree.about == {named(7)}

"""``scripts/bench snapshots``: compile, diff, rollback, assessment and admission, at two sizes of the whole.

Each size is measured in a process of its own, so that its peak of memory is its own. What is incremental is
set against a floor of the same process (one account's chunk decoded and encoded), and against the smaller
size: it must not grow with the total.
"""

from __future__ import annotations

import argparse
import ipaddress
import json
import os
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

from rich.console import Console
from rich.table import Table
from sqlalchemy import insert
from sqlalchemy.orm import Session

from controller.bgp import Prefix
from controller.rollout import records
from controller.rollout.admission import admit_next
from controller.rollout.tables import RolloutRow, SiteRow, SiteTreeRow
from controller.safety.assess import assess
from controller.safety.candidate import Context, Numbers
from controller.safety.effects import effects
from controller.safety.policy import Policy
from controller.safety.windows import Ledger
from controller.snapshots import outbox
from controller.snapshots import store as snapshots
from controller.snapshots.compile import candidate
from controller.snapshots.diff import diff_trees
from controller.snapshots.model import (
    BgpPrefixObject,
    BindingObject,
    Change,
    ChangeSet,
    Chunk,
    ChunkHash,
    PrefixObject,
    decode_chunk,
    encode_chunk,
    hash_chunk,
)
from controller.snapshots.rollback import plan
from controller.snapshots.tables import ChunkRow, HeadRow, SnapshotEntryRow, SnapshotRow
from controller.store import Store, open_store
from tests.scale.dataset import BEGAN
from tests.scale.measure import peak_mib

Changes = tuple[Change, ...]
SITES = tuple(f"s{n}" for n in range(6))
BATCH = 1_000
MIDDLE = (300, 1_100)
"""Accounts and BGP prefixes of a rollback as after the outage of 2026-02-20."""


def objects(account: str, first: int, count: int) -> Iterator[Change]:
    """Give an account's onboarding: prefixes, bindings, and BGP prefixes that are announced."""
    for n in range(first, first + count):
        cidr = Prefix(str(ipaddress.IPv4Network(((20 << 24) + (n << 8), 24))))
        yield Change(prefix=PrefixObject(f"p{n}", cidr, None))
        yield Change(binding=BindingObject(f"b{n}", f"p{n}", cidr, "cdn"))
        yield Change(bgp_prefix=BgpPrefixObject(f"g{n}", f"p{n}", cidr, None, advertised=True))


def named(n: int) -> str:
    return f"acc{n:05}"


def change_set(account: str, *changes: Change, number: int = 0) -> ChangeSet:
    return ChangeSet(f"cs{number}", account, "customer:own", "bench", "2026-01-01T00:00:00Z", changes)


@dataclass
class Fleet:
    """An operational state of ``accounts`` accounts with ``each`` BGP prefixes, as bytes by hash."""

    accounts: int
    each: int
    tree: dict[str, ChunkHash] = field(default_factory=dict)
    bodies: dict[ChunkHash, bytes] = field(default_factory=dict)

    def compile(self) -> None:
        """Compile each account from nothing."""
        for n in range(self.accounts):
            made = change_set(named(n), *objects(named(n), n * self.each, self.each))
            found = candidate({}, None, made)
            self.tree[named(n)] = found.hash
            self.bodies[found.hash] = found.body

    def chunk(self, account: str) -> Chunk:
        hash_ = self.tree[account]
        return decode_chunk(self.bodies[hash_], hash_)

    def withdrawn(self, account: str, count: int) -> tuple[Chunk, Changes]:
        """Return the account's chunk with its first BGP prefixes withdrawn, and the changes that do it."""
        old = self.chunk(account)
        changes = tuple(
            Change(bgp_prefix=BgpPrefixObject(b.id, b.prefix_id, b.cidr, None, advertised=False))
            for b in old.bgp_prefixes[:count]
        )
        return candidate(self.tree, old, change_set(account, *changes)).chunk, changes

    def bound(self, account: str, number: int) -> Change:
        """Return an owner's additive change: one more service, for a sixteenth of one of its prefixes."""
        prefix = self.chunk(account).prefixes[number // 16 % self.each]
        part = [*ipaddress.IPv4Network(prefix.cidr).subnets(new_prefix=28)][number % 16]
        return Change(binding=BindingObject(f"x{number}", prefix.id, Prefix(str(part)), "cdn"))

    def fill(self, store: Store) -> None:
        """Put it into an empty store, as it would be there after one snapshot, delivered to all sites."""
        names = sorted(self.tree)
        batches = [names[start : start + BATCH] for start in range(0, len(names), BATCH)]
        for some in batches:
            bodies = [{"hash": self.tree[a], "body": self.bodies[self.tree[a]]} for a in some]
            with store.write() as session:
                session.execute(insert(ChunkRow), bodies)
        with store.write() as session:
            session.add(SnapshotRow(
                id="0" * 64, parent_id=None, change_set_id="first", actor="bench", reason="bench", at=BEGAN
            ))  # fmt: skip
            session.execute(insert(SiteRow), [{"name": s, "generation": self.accounts} for s in SITES])
            session.flush()
            session.add(RolloutRow(
                id="first", change_set_id="first", account_id=named(0), snapshot_id="0" * 64,
                from_hash=None, to_hash=self.tree[named(0)], state="done", reason="", created_at=BEGAN,
                modified_at=BEGAN,
            ))  # fmt: skip
        for some in batches:
            rows = [{"account_id": a, "hash": self.tree[a]} for a in some]
            with store.write() as session:
                session.execute(
                    insert(SnapshotEntryRow),
                    [{"snapshot_seq": 1, "account_id": r["account_id"], "to_hash": r["hash"]} for r in rows],
                )
                session.execute(
                    insert(HeadRow), [{**r, "snapshot_seq": 1, "announced": self.each} for r in rows]
                )
                session.execute(
                    insert(SiteTreeRow),
                    [{**r, "site": s, "rollout_id": "first"} for r in rows for s in SITES],
                )


def seconds(work: Callable[[int], object], runs: int) -> float:
    """Return the median time of ``work(n)`` over ``runs`` calls, after one that is not counted."""
    work(0)
    taken = []
    for n in range(1, runs + 1):
        began = time.perf_counter()
        work(n)
        taken.append(time.perf_counter() - began)
    return median(taken)


def judged(fleet: Fleet, account: str, ledger: Ledger) -> Callable[[int], object]:
    """Return what assesses the withdrawal of one prefix by a task."""
    old = fleet.chunk(account)
    new, _ = fleet.withdrawn(account, 1)
    found = effects(old, new, SITES)
    numbers = Numbers(fleet.each, fleet.each * fleet.accounts, fleet.accounts)
    context = Context(
        Policy(), "task:bench", False, account, numbers, ledger, 0.0,
        announced={b.cidr: SITES for b in old.bgp_prefixes},
    )  # fmt: skip
    return lambda _: assess(found, context)


def admission(store: Store, fleet: Fleet) -> Callable[[int], object]:
    """Return what queues and admits an owner's change."""

    def one(n: int) -> None:
        account = named(n % fleet.accounts)
        made = change_set(account, fleet.bound(account, n), number=os.getpid() * 100_000 + n)
        with store.write() as session:
            outbox.append(session, made)
        with store.write() as session:
            admit(session)

    return one


def admit(session: Session) -> None:
    (found,) = admit_next(session, SITES, lambda _: None, 0.0)
    if found.tracked is None:
        raise RuntimeError(f"not admitted: {found.reason}")


def measured(accounts: int, each: int, folder: Path) -> dict[str, float]:
    """Return all figures of one size: seconds, and MiB where the name says so."""
    fleet, found = Fleet(accounts, each), {}
    began = time.perf_counter()
    fleet.compile()
    found["full compile"] = time.perf_counter() - began
    began = time.perf_counter()
    for hash_, body in fleet.bodies.items():
        assert hash_chunk(encode_chunk(decode_chunk(body, hash_))) == hash_
    found["floor: decode, encode and hash all chunks"] = time.perf_counter() - began
    some = named(accounts // 2)
    hash_ = fleet.tree[some]
    found["floor: decode and encode one chunk"] = seconds(
        lambda _: encode_chunk(decode_chunk(fleet.bodies[hash_], hash_)), 100
    )
    toggles = fleet.withdrawn(some, 1)[1]
    found["incremental compile, one account"] = seconds(
        lambda _: candidate(fleet.tree, fleet.chunk(some), change_set(some, *toggles)), 100
    )
    _trees(fleet, found)
    found["assess one withdrawal"] = seconds(judged(fleet, some, Ledger(Policy())), 200)
    found["chunks, MiB"] = sum(map(len, fleet.bodies.values())) / 2**20
    found["peak memory so far, MiB"] = peak_mib(os.getpid())
    store = open_store(folder / "herald.db")
    began = time.perf_counter()
    fleet.fill(store)
    found["filled, bare bulk inserts"] = time.perf_counter() - began
    _stored(fleet, store, found)
    store.close()
    return found


def _moved(fleet: Fleet, accounts: int, each: int) -> tuple[dict[str, ChunkHash], dict[ChunkHash, Chunk]]:
    """Return a later tree in which some accounts withdrew ``each`` prefixes, and the chunks on both sides."""
    tree, chunks = dict(fleet.tree), {}
    for n in range(accounts):
        account = named(n)
        new, _ = fleet.withdrawn(account, each)
        body = encode_chunk(new)
        tree[account] = hash_chunk(body)
        chunks[tree[account]] = new
        chunks[fleet.tree[account]] = fleet.chunk(account)
    return tree, chunks


def _trees(fleet: Fleet, found: dict[str, float]) -> None:
    several = min(MIDDLE[0], fleet.accounts)
    each = -(-MIDDLE[1] // several)
    one, ones = _moved(fleet, 1, 1)
    some, somes = _moved(fleet, several, each)
    all_ = {a: ChunkHash(h[::-1]) for a, h in fleet.tree.items()}
    found["diff of two trees, one account"] = seconds(lambda _: diff_trees(fleet.tree, one), 20)
    found["diff of two trees, 1,100 prefixes"] = seconds(lambda _: diff_trees(fleet.tree, some), 20)
    found["diff of two trees, all accounts"] = seconds(lambda _: diff_trees(fleet.tree, all_), 5)
    for name, tree, chunks in (
        ("rollback plan, one account", one, ones),
        ("rollback plan, 1,100 prefixes", some, somes),
    ):
        # As the store gives it: the accounts that differ, by index.
        now = {a: h for a, h in tree.items() if h != fleet.tree[a]}
        then: Mapping[str, ChunkHash] = {a: fleet.tree[a] for a in now}
        found[name] = seconds(
            lambda _, now=now, then=then, chunks=chunks: plan(now, then, chunks, SITES, {}),  # type: ignore[misc]
            5,
        )


def _stored(fleet: Fleet, store: Store, found: dict[str, float]) -> None:
    found["admission of one change-set (SQLite)"] = seconds(admission(store, fleet), 30)

    def compared(_: int) -> None:
        with store.read() as session:
            newest = snapshots.newest_seq(session)
            assert len(snapshots.differing(session, newest - 1, newest)) == 1

    def numbers(_: int) -> None:
        with store.read() as session:
            snapshots.announced(session, named(0))

    def loaded(_: int) -> None:
        with store.read() as session:
            records.known_chunks(session)
            for site in SITES:
                records.targets(session, site)

    found["diff of two snapshots by index, one account"] = seconds(compared, 20)
    found["how many are announced (each assessment)"] = seconds(numbers, 20)
    found["start of the roll-outs' driver"] = seconds(loaded, 2)


@contextmanager
def counted(session: Session) -> Iterator[list[int]]:
    """Count the steps that SQLite's virtual machine takes in the block: work, whatever time it takes."""
    steps = [0]

    def tick() -> int:
        steps[0] += 1
        return 0

    connection = session.connection().connection.driver_connection
    assert isinstance(connection, sqlite3.Connection)
    connection.set_progress_handler(tick, 1)
    try:
        yield steps
    finally:
        connection.set_progress_handler(None, 0)


GROWS = ("full compile", "floor: decode, encode and hash all chunks", "diff of two trees", "chunks, MiB",
         "peak memory", "filled", "start of")  # fmt: skip
"""What is about the whole, and may grow with it."""


def shown(small: dict[str, float], large: dict[str, float], sizes: tuple[str, str]) -> Table:
    table = Table(title="Snapshots at scale: medians; what is incremental must not grow")
    for heading in ("what", sizes[0], sizes[1], "grows by", "times the floor"):
        table.add_column(heading, justify="left" if heading == "what" else "right")
    floor = large["floor: decode and encode one chunk"]
    for name, figure in large.items():
        if "MiB" in name:
            table.add_row(name, f"{small[name]:,.0f}", f"{figure:,.0f}", "", "")
            continue
        grows = f"{figure / small[name]:.1f}" if small[name] else ""
        ratio = "" if name.startswith(GROWS) else f"{figure / floor:.1f}"
        table.add_row(name, f"{small[name] * 1000:,.2f} ms", f"{figure * 1000:,.2f} ms", grows, ratio)
    return table


def apart(accounts: int, each: int) -> dict[str, float]:
    """Measure one size in a process of its own."""
    argv = [sys.executable, "-m", "tests.scale.snapshots", "--only", f"{accounts}x{each}"]
    done = subprocess.run(argv, check=True, capture_output=True, text=True)
    found: dict[str, float] = json.loads(done.stdout)
    return found


def main() -> int:
    parser = argparse.ArgumentParser(prog="scripts/bench snapshots", description=__doc__)
    parser.add_argument("--accounts", type=int, default=20_000)
    parser.add_argument("--prefixes", type=int, default=1_000_000)
    parser.add_argument("--small-accounts", type=int, default=200)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--only", help=argparse.SUPPRESS)
    told = parser.parse_args()
    if told.only:
        accounts, each = map(int, told.only.split("x"))
        with tempfile.TemporaryDirectory(prefix="herald-scale-") as name:
            print(json.dumps(measured(accounts, each, Path(name))))
        return 0
    each = told.prefixes // told.accounts
    small, large = apart(told.small_accounts, each), apart(told.accounts, each)
    if told.json:
        print(json.dumps({"small": small, "large": large}))
        return 0
    sizes = tuple(f"{n * each:,} in {n:,}" for n in (told.small_accounts, told.accounts))
    Console(width=140).print(shown(small, large, sizes))  # type: ignore[arg-type]
    return 0


if __name__ == "__main__":
    sys.exit(main())

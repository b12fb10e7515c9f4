"""A running lab as a test or a script handles it: announce, look at RIBs, wait for what happens.

Waiting is by event: a condition is tried again whenever a BGP message was captured anywhere in the lab,
and at the latest every :data:`RECHECK_S` seconds, for what shows in no message.
"""

from __future__ import annotations

import select
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from controller.bgp import Prefix, parse_prefix
from controller.cli.client import Client
from controller.errors import HeraldError
from controller.observe.event import Event
from controller.observe.history import Verdict, never_lost, timeline
from controller.observe.inventory import Inventory
from controller.observe.readers import read_node, read_ribs, read_sent
from controller.observe.rib import RibRow
from controller.observe.stream import CaptureStream, fetch_events

if TYPE_CHECKING:
    from labs.runtimes.lab import RunningLab

RECHECK_S = 0.2
"""Seconds after which a condition is tried again although nothing was captured."""


class LiveLabError(HeraldError):
    """Something that a test or script waited for did not happen, or a promise was broken."""


class Rib(Mapping[Prefix, list[RibRow]]):
    """One node's Loc-RIB: prefix → candidates, the best first."""

    def __init__(self, rows: Sequence[RibRow]) -> None:
        self._rows: dict[Prefix, list[RibRow]] = {}
        for row in sorted(rows, key=lambda r: not r.best):
            self._rows.setdefault(row.prefix, []).append(row)

    def __getitem__(self, prefix: str) -> list[RibRow]:
        """Return the candidates for ``prefix``; KeyError when there is none."""
        return self._rows[parse_prefix(prefix)]

    def __iter__(self) -> Iterator[Prefix]:
        return iter(self._rows)

    def __len__(self) -> int:
        return len(self._rows)

    def paths(self, prefix: str) -> list[tuple[int | tuple[int, ...], ...]]:
        """Return the AS paths of all candidates for ``prefix``, sorted; empty when there is none."""
        rows = self._rows.get(parse_prefix(prefix), [])
        return sorted((row.as_path for row in rows), key=repr)


class LiveNode:
    """One router of the lab."""

    def __init__(self, lab: LiveLab, name: str) -> None:
        self.lab = lab
        self.name = lab.inventory.node(name).name

    def rib(self, prefix: str | None = None) -> Rib:
        """Read the node's Loc-RIB now (all of it, or one prefix)."""
        wanted = None if prefix is None else parse_prefix(prefix)
        return Rib(read_node(self.lab.inventory, self.name, wanted))

    def run(self, *argv: str) -> str:
        """Run a command in the node's namespaces and return its output; a failure raises."""
        done = self.lab.running.exec(self.name, list(argv))
        if done.returncode != 0:
            output = (done.stderr or done.stdout or "").strip()
            raise LiveLabError(f"{self.name}: {' '.join(argv)} exited with {done.returncode}: {output}")
        return str(done.stdout)


class LiveLab:
    """A lab that is up. ``running`` gives what its runtime can do: restart, signal, exec, down."""

    def __init__(self, running: RunningLab) -> None:
        self.running = running
        self.spoiled = False
        """Set by a test after which the lab is of no use to others: it is started afresh."""
        self.inventory: Inventory = running.inventory
        self.client = self.as_operator()
        self._owners: dict[str, Client] = {}

    # -- who acts -----------------------------------------------------------------------------------------
    def as_operator(self) -> Client:
        """Return a client of the API as the operator: alone it cannot take anything off the air."""
        return Client.from_inventory(self.inventory)

    def as_owner(self, account: str) -> Client:
        """Return the client of the API as the owner of ``account``; a token is made if the lab has none."""
        if account not in self._owners:
            token = self.inventory.owner_token(account)
            if token is None:
                token = str(self.client.create_token("customer", account_id=account)["token"])
            self._owners[account] = Client.from_inventory(self.inventory, token=token)
        return self._owners[account]

    def owner_of(self, prefix: str) -> Client:
        """Return the client of the API as the owner of ``prefix``."""
        return self.as_owner(self.client.whose(parse_prefix(prefix)).account_id)

    # -- what customers do --------------------------------------------------------------------------------
    def announce(self, prefix: str, *, sites: Sequence[str] | None = None, within: float = 20.0) -> str:
        """Announce ``prefix`` (at all sites, or at ``sites``) as its owner; wait until that is done.

        Returns the change-set's id. Raises the API's error when it is refused.
        """
        return self._advertise(prefix, advertised=True, sites=sites, within=within)

    def withdraw(self, prefix: str, *, within: float = 20.0) -> str:
        """Withdraw ``prefix`` everywhere as its owner and wait until that is done; returns the change-set."""
        return self._advertise(prefix, advertised=False, sites=None, within=within)

    def ask(self, prefix: str, *, advertised: bool, sites: Sequence[str] | None = None) -> str | None:
        """Ask for a state as its owner, without waiting; returns the change-set, None if nothing changes."""
        return self.owner_of(prefix).advertise(parse_prefix(prefix), advertised=advertised, sites=sites)

    def _advertise(self, prefix: str, *, advertised: bool, sites: Sequence[str] | None, within: float) -> str:
        change_set = self.ask(prefix, advertised=advertised, sites=sites)
        if change_set is None:
            return ""
        answer = self.client.wait_change_set(change_set, within)
        if answer.state != "done":
            sites_say = "; ".join(f"{name}: {s.state} {s.reason}" for name, s in answer.sites.items())
            raise LiveLabError(
                f"change-set {change_set} for {prefix} is {answer.state} after {within:g} s: "
                f"{answer.reason or sites_say}"
            )
        return change_set

    def site(self, name: str) -> dict[str, Any]:
        """Return what the controller last heard from a site's agent."""
        return next(row for row in self.client.sites() if row["site"] == name)

    def bgp_prefixes(self) -> list[dict[str, Any]]:
        """Return the BGP prefixes of all accounts, as the API tells them."""
        return [
            bgp
            for account in self.client.accounts()
            for prefix in self.client.prefixes(account["id"])
            for bgp in self.client.bgp_prefixes(account["id"], prefix["id"])
        ]

    def state_folder(self, process: str) -> Path:
        """Return where a process keeps its state: ``"serve"``, ``"agent-site1"``, ``"machine-s1m1"``."""
        return Path(self.inventory.folder) / "state" / self.inventory.instance / process

    # -- what peers hold ------------------------------------------------------------------------------------
    def node(self, name: str) -> LiveNode:
        """Return the router called ``name``."""
        return LiveNode(self, name)

    def ribs(self, prefix: str | None = None) -> list[RibRow]:
        """Read the Loc-RIBs of all routers that are not ours."""
        return read_ribs(self.inventory, None if prefix is None else parse_prefix(prefix))

    def sent(self, prefix: str | None = None) -> list[RibRow]:
        """Read the sites' Adj-RIB-Out, as their speakers tell it."""
        return read_sent(self.inventory, None if prefix is None else parse_prefix(prefix))

    def holders(self, prefix: str) -> set[str]:
        """Return the names of the routers (not ours) that hold ``prefix``."""
        return {row.node for row in self.ribs(prefix) if row.prefix == parse_prefix(prefix)}

    # -- what went over the wire -----------------------------------------------------------------------------
    def mark(self) -> int:
        """Return the sequence number of the last message on the wire up to this moment."""
        with CaptureStream(self.inventory.capture_socket) as stream:
            return stream.sync().last_seq

    def events(self, since: int = 0) -> list[Event]:
        """Return all that was captured after the mark ``since``, up to this moment."""
        return fetch_events(self.inventory.capture_socket, since)[0]

    def updates(self, prefix: str | None = None, *, sender: str | None = None, since: int = 0) -> list[Event]:
        """Return the UPDATEs after ``since``, of one sender and about one prefix where these are given."""
        wanted = None if prefix is None else parse_prefix(prefix)
        return [
            e
            for e in self.events(since)
            if e.kind == "update"
            and (sender is None or e.sender == sender)
            and (wanted is None or wanted in e.withdrawn or any(a.prefix == wanted for a in e.announced))
        ]

    @contextmanager
    def never_lost(self, node: str, prefix: str) -> Iterator[None]:
        """Hold that at no moment inside the block ``node`` is without a route for ``prefix``.

        A session's route counts from the message that brought it to the one that took it away; a packet
        that the capture missed makes the promise inconclusive, which is a failure too. Raises
        :class:`LiveLabError` with the moment and the timeline.
        """
        wanted = parse_prefix(prefix)
        since = self.mark()
        yield
        events, stats = fetch_events(self.inventory.capture_socket, 0)
        verdict: Verdict = never_lost(
            events, node, wanted, since_seq=since, missed=stats.dropped + stats.gaps + stats.let_go
        )
        if verdict.outcome == "pass" and not self.node(node).rib(prefix):
            raise LiveLabError(f"{node} holds no route for {prefix}, though the wire says so")
        if verdict.outcome != "pass":
            story = "\n".join(timeline([e for e in events if e.seq > since], wanted))
            raise LiveLabError(f"{node}, {prefix}: {verdict.outcome}: {verdict.reason}\n{story}")

    # -- waiting --------------------------------------------------------------------------------------------
    def wait_until(self, condition: Callable[[], object], *, within: float = 15.0, what: str = "") -> None:
        """Return as soon as ``condition()`` is true; raise :class:`LiveLabError` after ``within`` seconds."""
        deadline = time.monotonic() + within
        with CaptureStream(self.inventory.capture_socket) as stream:
            stream.subscribe(stream.stats().last_seq)
            while not condition():
                left = deadline - time.monotonic()
                if left <= 0:
                    raise LiveLabError(f"not so after {within:g} s: {what or condition}\n{self.report()}")
                if select.select([stream], [], [], min(left, RECHECK_S))[0]:
                    stream.read_available()

    def wait_for_route(
        self, prefix: str, nodes: Sequence[str] | None = None, *, within: float = 15.0
    ) -> None:
        """Wait until all of ``nodes`` (default: all routers that are not ours) hold ``prefix``."""
        wanted = set(nodes) if nodes is not None else {n.name for n in self.inventory.routers()}
        self.wait_until(
            lambda: wanted <= self.holders(prefix), within=within, what=f"{prefix} at {sorted(wanted)}"
        )

    def wait_for_absence(self, prefix: str, *, within: float = 15.0) -> None:
        """Wait until no router that is not ours holds ``prefix``."""
        self.wait_until(lambda: not self.holders(prefix), within=within, what=f"{prefix} gone everywhere")

    # -- reports and order ----------------------------------------------------------------------------------
    def report(self, last: int = 40) -> str:
        """Return the RIBs and the last UPDATEs as text, for the report of a failure."""
        lines = [f"lab {self.inventory.lab}: RIBs"]
        try:
            rows = self.ribs()
        except HeraldError as error:
            return f"lab {self.inventory.lab}: {error}"
        lines += [
            f"  {r.node:<12} {'*' if r.best else ' '} {r.prefix:<22} {list(r.as_path)} from {r.from_}"
            for r in rows
        ]
        lines.append("last updates on the wire")
        lines += [f"  {line}" for line in timeline(self.events(), None)[-last:]]
        return "\n".join(lines)

    def reset(self) -> None:
        """Withdraw all that is advertised, and wait until it is gone everywhere."""
        ours = self.bgp_prefixes()
        for row in ours:
            if row["on_demand"]["advertised"]:
                self._advertise(row["cidr"], advertised=False, sites=None, within=20.0)
        cidrs = {row["cidr"] for row in ours}
        self.wait_until(
            lambda: not any(row.prefix in cidrs for row in self.ribs()), what="all of our prefixes gone"
        )

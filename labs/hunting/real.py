"""What a hunt stands on in a running lab: its API, its capture, its routers' daemons."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence

from controller.bgp import Prefix
from controller.cli.client import Client
from controller.observe.event import CaptureStats, Event, FibChange
from controller.observe.inventory import Inventory
from controller.observe.readers import ReaderError, read_node
from controller.observe.rib import RibRow
from controller.observe.stream import CaptureStream, fetch_events
from labs.hunting.errors import HuntError
from labs.hunting.run import Wanted

POLL_S = 0.02
"""Seconds between two looks at the RIB of a router that has no FIB: the resolution of t_rib there."""


class LabApi:
    """The Addressing API (:class:`labs.hunting.run.Api`), as the owner of what is hunted."""

    def __init__(self, client: Client, as_owner: Callable[[str], Client]) -> None:
        self._client = client
        self._as_owner = as_owner

    def wanted(self, prefix: Prefix) -> Wanted:
        """Return what is configured; a part of an onboarded prefix that is no BGP prefix is withdrawn."""
        owner = self._client.whose(prefix)
        if owner.bgp_prefix_id is None:
            return Wanted(advertised=False)
        row = self._client.bgp_prefix(owner.account_id, owner.prefix_id, owner.bgp_prefix_id)
        configured = row["configured"]
        sites = configured["sites"]
        return Wanted(bool(configured["advertised"]), None if sites is None else tuple(sites))

    def ask(self, prefix: Prefix, wanted: Wanted, within_s: float) -> None:
        """Ask for a state and wait until its change-set is done."""
        owner = self._client.whose(prefix)
        client = self._as_owner(owner.account_id)
        change_set = client.advertise(prefix, advertised=wanted.advertised, sites=wanted.sites)
        if change_set is None:
            return
        progress = self._client.wait_change_set(change_set, within_s)
        if progress.state != "done":
            why = progress.reason or "; ".join(
                f"{s}: {p.reason}" for s, p in progress.sites.items() if p.reason
            )
            raise HuntError(
                f"change-set {change_set} for {prefix} is {progress.state} after {within_s:g} s: {why}"
            )


class LabWire:
    """The lab's capture (:class:`labs.hunting.run.Wire`)."""

    def __init__(self, socket: str) -> None:
        self._socket = socket

    def fetch(self, after: int) -> tuple[list[Event], CaptureStats]:
        """Return the events after ``after`` up to this moment, and the counts."""
        return fetch_events(self._socket, after)

    def wait(self, after: int, seconds: float) -> None:
        """Return when there is an event after ``after``, or after ``seconds``."""
        with CaptureStream(self._socket) as stream:
            next(stream.events(after, timeout=seconds), None)


class LabRibWatch:
    """When FIBs changed by the capture, and RIBs of the routers without a FIB by looking often.

    A router counts as one with a FIB when its kernel had the prefix before the withdrawal.
    """

    def __init__(self, inventory: Inventory, prefix: Prefix) -> None:
        self._inventory = inventory
        self._prefix = prefix
        self._since = 0
        self._lost = 0
        self._over = threading.Event()
        self._threads: list[threading.Thread] = []
        self._changes: list[int] = []
        self._errors: list[ReaderError] = []

    def begin(self) -> None:
        """Note the time, and begin to look at the routers without a FIB."""
        self._since = time.time_ns()
        changes, self._lost = self._fib(0)
        with_fib = {change.node for change in changes}
        for node in self._inventory.routers():
            if node.name not in with_fib:
                thread = threading.Thread(target=self._look, args=(node.name,), name=f"rib-{node.name}")
                self._threads.append(thread)
                thread.start()

    def end(self) -> list[int]:
        """Stop looking; nothing when the kernel lost changes meanwhile, since the last may be among them.

        Raises ReaderError when a router could not be read meanwhile.
        """
        self._over.set()
        for thread in self._threads:
            thread.join()
        if self._errors:
            raise self._errors[0]
        changes, lost = self._fib(self._since)
        if lost != self._lost:
            return []
        return self._changes + [change.at_ns for change in changes]

    def _look(self, node: str) -> None:
        before: Sequence[RibRow] | None = None
        try:
            while not self._over.wait(POLL_S):
                rows = read_node(self._inventory, node, self._prefix)
                if before is not None and rows != before:
                    self._changes.append(time.time_ns())
                before = rows
        except ReaderError as error:
            self._errors.append(error)

    def _fib(self, after_ns: int) -> tuple[list[FibChange], int]:
        with CaptureStream(self._inventory.capture_socket) as stream:
            return stream.fib(self._prefix, after_ns)

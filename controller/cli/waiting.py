"""Waits until an accepted change-set was sent, and until routers hold what they are to hold."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection
from typing import TYPE_CHECKING

from controller.bgp import Prefix
from controller.cli.sight import Sight, look

if TYPE_CHECKING:
    from controller.cli.client import ChangeSetProgress, Client, Owner
    from controller.observe.inventory import Inventory

SLICE_S = 1.0
"""Seconds after which a change-set that does not move is asked about again, for its sites' reasons."""

POLL_S = 0.05
"""Seconds between two readings of all RIBs."""

Say = Callable[[str], None]


def wait_until_sent(client: Client, change_set_id: str, deadline: float, say: Say) -> ChangeSetProgress:
    """Return the change-set once it is over, or as it is at ``deadline`` (monotonic seconds)."""
    told: dict[str, str] = {}
    while True:
        left = deadline - time.monotonic()
        found = client.wait_change_set(change_set_id, min(max(left, 0.0), SLICE_S))
        for site, at_site in sorted(found.sites.items()):
            text = f"{site}: {at_site.state}" + (f" ({at_site.reason})" if at_site.reason else "")
            if told.get(site) != text:
                told[site] = text
                say(text)
        if found.state not in ("queued", "rolling") or left <= 0:
            return found


def wait_until_observed(
    inventory: Inventory, prefix: Prefix, announcing: Collection[str], deadline: float, say: Say
) -> tuple[Sight, bool]:
    """Return what the routers hold, and whether it is as it is to be, by ``deadline`` (monotonic seconds).

    ``announcing``: the names of the sites that are to announce. A router that does not answer is waited
    for, too; nothing is concluded from its silence.
    """
    from controller.observe.readers import ReaderError, read_ribs  # noqa: PLC0415 (loads all daemons' readers)

    routers = [n.name for n in inventory.routers()]
    at = {s.router for s in inventory.sites if s.name in announcing}
    others = {s.router for s in inventory.sites if s.name not in announcing}
    told = ""
    while True:
        try:
            rows = read_ribs(inventory, prefix)
            sight, reached = look(rows, prefix, routers, announcing=at, withdrawn=others)
        except ReaderError as error:
            sight, reached = Sight("unknown", of=len(routers), reason=str(error)), False
        text = sight.reason or f"seen by {sight.seen_by} of {sight.of} routers"
        if text != told:
            told = text
            say(f"observed: {text}")
        if reached or time.monotonic() >= deadline:
            return sight, reached
        time.sleep(POLL_S)


def wait_until_api_observes(
    client: Client, owner: Owner, announcing: bool, deadline: float
) -> tuple[Sight, bool]:
    """Without an inventory, return what the API observes; "unknown" is all that can be had then."""
    while True:
        found = client.bgp_prefix(owner.account_id, owner.prefix_id, owner.bgp_prefix_id or "")["observed"]
        sight = Sight(found["state"], found.get("seen_by"), found.get("of"), found.get("reason") or "")
        reached = sight.state == "unknown" or (
            sight.seen_by == sight.of if announcing else sight.state == "absent"
        )
        if reached or time.monotonic() >= deadline:
            return sight, reached
        time.sleep(POLL_S)

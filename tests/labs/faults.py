"""What the tests of faults share: a lab with two prefixes on the air, and whose UPDATEs are whose."""

from __future__ import annotations

from controller.observe.event import Event
from labs.live import LiveLab

TOPOLOGY = "topologies/two-sites/two-sites.clab.yml"
SPEAKERS = {
    "exabgp": {"HERALD_SPEAKER": "exabgp", "HERALD_SPEAKER_2": "exabgp"},
    "gobgp": {"HERALD_SPEAKER": "gobgp", "HERALD_SPEAKER_2": "gobgp"},
}
PREFIX, PREFIX6 = "192.0.2.0/24", "2001:db8:1000::/48"


def announced(lab: LiveLab) -> None:
    for prefix in (PREFIX, PREFIX6):
        lab.announce(prefix)
        lab.wait_for_route(prefix)


def sent_by_us(lab: LiveLab, since: int) -> list[Event]:
    """UPDATEs of our sites, End-of-RIB markers aside."""
    return [
        event
        for event in lab.updates(since=since)
        if event.sender in ("site1", "site2") and (event.announced or event.withdrawn)
    ]

"""OpenBGPD: one command, three processes; it is ready when its control socket accepts.

It drops privileges to a user of its own, which a user namespace with a single id refuses. It refuses a
configuration that others may read, so the node gets a copy.
"""

from __future__ import annotations

import json

from labs.nodes.model import Daemon, Kind, Place, Session, accepts
from labs.runtimes.host import Privilege

CONFIG = "/etc/bgpd.conf"
SOCKET = "/run/bgpd.sock.0"


def sessions(place: Place) -> list[Session]:
    """Return the neighbours of ``bgpctl show neighbor``."""
    status, output = place.execute(("/usr/sbin/bgpctl", "-s", SOCKET, "-j", "show", "neighbor"))
    return parse_neighbours(output) if status == 0 else []


def parse_neighbours(text: str) -> list[Session]:
    """Read ``bgpctl -j show neighbor``."""
    try:
        neighbours = json.loads(text).get("neighbors", [])
    except ValueError:
        return []
    return [
        Session(str(n.get("remote_addr", n.get("description"))), n.get("state") == "Established")
        for n in neighbours
    ]


def _daemons(place: Place) -> tuple[Daemon, ...]:
    command = ("/usr/sbin/bgpd", "-d", "-f", CONFIG)
    socket = place.run / "bgpd.sock.0"
    return (Daemon("bgpd", command, lambda: accepts(socket)),)


def _prepare(place: Place) -> None:
    # Debian's build has its socket in a folder of its own. The link serves those who look where the
    # architecture says; a configuration that names that place itself replaces the link.
    (place.run / "openbgpd").mkdir(exist_ok=True)
    (place.run / "bgpd.sock.0").symlink_to("openbgpd/bgpd.sock.0")


KIND = Kind(
    "openbgpd",
    "bgpd",
    _daemons,
    config=CONFIG,
    private=(CONFIG,),
    prepare=_prepare,
    sessions=sessions,
    privileges=frozenset({Privilege.ROOT, Privilege.RANGE}),
)

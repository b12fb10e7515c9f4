"""OpenBGPD: one command, three processes; it is ready when its control socket accepts.

It drops privileges to a user of its own, which a user namespace with a single id refuses. It refuses a
configuration that others may read, so the node gets a copy.
"""

from __future__ import annotations

from labs.nodes.model import Daemon, Kind, Place, accepts
from labs.runtimes.host import Privilege

CONFIG = "/etc/bgpd.conf"


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
    privileges=frozenset({Privilege.ROOT, Privilege.RANGE}),
)

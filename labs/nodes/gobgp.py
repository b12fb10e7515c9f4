"""GoBGP: one daemon; it is ready when its gRPC socket accepts."""

from __future__ import annotations

from labs.nodes.model import Daemon, Kind, Place, accepts

CONFIG = "/etc/gobgp/gobgpd.toml"
SOCKET = "/run/gobgp/gobgp.sock"


def _prepare(place: Place) -> None:
    (place.run / "gobgp").mkdir(exist_ok=True)


def _daemons(place: Place) -> tuple[Daemon, ...]:
    command = ("/usr/bin/gobgpd", "--api-hosts", f"unix://{SOCKET}", "--pprof-disable", "-f", CONFIG)
    socket = place.run / "gobgp" / "gobgp.sock"
    # gobgpd does not start over the socket that a killed one left.
    return (Daemon("gobgpd", command, lambda: accepts(socket), stale=(socket,)),)


KIND = Kind("gobgp", "gobgpd", _daemons, config=CONFIG, prepare=_prepare)

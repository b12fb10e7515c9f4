"""GoBGP: one daemon; it is ready when its gRPC socket accepts."""

from __future__ import annotations

import json

from labs.nodes.model import Daemon, Kind, Place, Session, accepts

CONFIG = "/etc/gobgp/gobgpd.toml"
SOCKET = "/run/gobgp/gobgp.sock"


def sessions(place: Place) -> list[Session]:
    """Return the peers of ``gobgp neighbor``."""
    status, output = place.execute(("/usr/bin/gobgp", "--target", f"unix://{SOCKET}", "-j", "neighbor"))
    return parse_neighbours(output) if status == 0 else []


def parse_neighbours(text: str) -> list[Session]:
    """Read ``gobgp -j neighbor``: session state 6 is Established (RFC 4271 section 8.2.2, in that order)."""
    try:
        peers = json.loads(text)
    except ValueError:
        return []
    return [
        Session(p["state"]["neighbor_address"], p["state"].get("session_state") == 6) for p in peers or []
    ]


def _prepare(place: Place) -> None:
    (place.run / "gobgp").mkdir(exist_ok=True)


def _daemons(place: Place) -> tuple[Daemon, ...]:
    command = ("/usr/bin/gobgpd", "--api-hosts", f"unix://{SOCKET}", "--pprof-disable", "-f", CONFIG)
    socket = place.run / "gobgp" / "gobgp.sock"
    return (Daemon("gobgpd", command, lambda: accepts(socket)),)


KIND = Kind("gobgp", "gobgpd", _daemons, config=CONFIG, prepare=_prepare, sessions=sessions)

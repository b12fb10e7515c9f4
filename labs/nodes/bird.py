"""BIRD 2: one daemon; it is ready when its control socket greets."""

from __future__ import annotations

import socket
from pathlib import Path

from labs.nodes.model import Daemon, Kind, Place, connect

CONFIG = "/etc/bird/bird.conf"
SOCKET = "/run/bird/bird.ctl"
HERALD_CONFIG = "/run/herald/bird.conf"
"""What a site's agent generates; BIRD reads it when it is told to, never by itself."""

_GREETING = b"0001 "


def greets(run: Path) -> bool:
    """Say whether BIRD's control socket answers with its greeting (code 0001)."""
    client = connect(run / "bird" / "bird.ctl")
    if client is None:
        return False
    with client:
        try:
            return client.recv(len(_GREETING), socket.MSG_WAITALL) == _GREETING
        except OSError:
            return False


def _prepare(place: Place) -> None:
    (place.run / "bird").mkdir(exist_ok=True)
    (place.run / "herald").mkdir(exist_ok=True)


def _daemons(place: Place) -> tuple[Daemon, ...]:
    command = ("/usr/sbin/bird", "-f", "-c", CONFIG, "-s", SOCKET, "-P", "/run/bird/bird.pid")
    return (Daemon("bird", command, lambda: greets(place.run)),)


KIND = Kind("bird", "bird", _daemons, config=CONFIG, prepare=_prepare)

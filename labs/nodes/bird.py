"""BIRD 2: one daemon; it is ready when its control socket greets."""

from __future__ import annotations

import socket
from pathlib import Path

from labs.nodes.model import Daemon, Kind, Place, Session, connect

CONFIG = "/etc/bird/bird.conf"


def _control(run: Path) -> Path:
    return run / "bird" / "bird.ctl"


def _read_until(client: socket.socket, end: tuple[bytes, ...]) -> str:
    """Read lines until one starts with a reply code of ``end`` and a space (a reply's last line)."""
    text = b""
    try:
        while not any(line[:5] in end for line in text.splitlines() if text.endswith(b"\n")):
            piece = client.recv(65536)
            if not piece:
                return ""
            text += piece
    except OSError:
        return ""
    return text.decode(errors="replace")


def greets(run: Path) -> bool:
    """Say whether BIRD's control socket answers with its greeting (code 0001)."""
    client = connect(_control(run))
    if client is None:
        return False
    with client:
        return _read_until(client, (b"0001 ",)) != ""


def sessions(place: Place) -> list[Session]:
    """Return the BGP protocols of ``show protocols`` (code 1002); disabled ones are left out."""
    client = connect(_control(place.run))
    if client is None:
        return []
    with client:
        if not _read_until(client, (b"0001 ",)):
            return []
        client.sendall(b"show protocols\n")
        return parse_protocols(_read_until(client, (b"0000 ", b"8001 ", b"9001 ")))


def parse_protocols(text: str) -> list[Session]:
    """Read the reply to ``show protocols``: name, protocol, table, state, since, info."""
    found = []
    for line in text.splitlines():
        words = line.removeprefix("1002-").removeprefix(" ").split()
        if len(words) >= 4 and words[1] == "BGP" and "down" not in words[3:4]:
            found.append(Session(words[0], "Established" in words[5:]))
    return found


def _prepare(place: Place) -> None:
    (place.run / "bird").mkdir(exist_ok=True)


def _daemons(place: Place) -> tuple[Daemon, ...]:
    command = ("/usr/sbin/bird", "-f", "-c", CONFIG, "-s", "/run/bird/bird.ctl", "-P", "/run/bird/bird.pid")
    return (Daemon("bird", command, lambda: greets(place.run)),)


KIND = Kind("bird", "bird", _daemons, config=CONFIG, prepare=_prepare, sessions=sessions)

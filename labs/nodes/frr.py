"""FRR: zebra, bgpd and what ``/etc/frr/daemons`` asks for; ready when each vty socket answers.

The integrated configuration is loaded by ``vtysh -b`` once all of them answer.
"""

from __future__ import annotations

import json
from pathlib import Path

from labs.nodes.model import Daemon, Kind, Place, Session, connect

CONFIG = "/etc/frr/frr.conf"
FOLDER = Path("/usr/lib/frr")
_OTHERS = ("staticd", "bfdd", "ospfd", "ospf6d", "isisd", "ripd", "ripngd", "pimd", "ldpd", "pbrd")


def ask(socket_path: Path, command: str) -> str | None:
    """Ask one vty for a ``show`` command's output; None when it does not answer.

    FRR's protocol: the command ends with a zero byte; the answer with three and a status byte
    (lib/vty.c, vtysh_read and vtysh_client_run).
    """
    client = connect(socket_path)
    if client is None:
        return None
    answer = b""
    with client:
        try:
            client.sendall(command.encode() + b"\0")
            while b"\0\0\0" not in answer[:-1]:
                piece = client.recv(65536)
                if not piece:
                    return None
                answer += piece
        except OSError:
            return None
    return answer.split(b"\0\0\0")[0].decode(errors="replace")


def sessions(place: Place) -> list[Session]:
    """Return the peers of ``show bgp summary json``, over all address families."""
    answer = ask(place.run / "frr" / "bgpd.vty", "show bgp summary json")
    return parse_summary(answer or "{}")


def parse_summary(text: str) -> list[Session]:
    """Read FRR's JSON summary: one peer is established when it is in every family that it is in."""
    try:
        summary = json.loads(text)
    except ValueError:
        return []
    found: dict[str, bool] = {}
    for family in summary.values():
        for peer, state in family.get("peers", {}).items() if isinstance(family, dict) else ():
            found[peer] = found.get(peer, True) and state.get("state") == "Established"
    return [Session(peer, established) for peer, established in found.items()]


def wanted(daemons_file: str) -> list[str]:
    """Return which daemons ``/etc/frr/daemons`` switches on besides zebra and bgpd, in order of start."""
    on = {line.split("=")[0].strip() for line in daemons_file.splitlines() if line.strip().endswith("=yes")}
    return [name for name in _OTHERS if name in on]


def _daemons(place: Place) -> tuple[Daemon, ...]:
    listed = place.config("/etc/frr/daemons")
    names = ["zebra", *(["mgmtd"] if (FOLDER / "mgmtd").exists() else []), "bgpd"]
    names += wanted(listed.read_text()) if listed is not None and listed.exists() else []
    return tuple(_daemon(place, name) for name in names)


def _daemon(place: Place, name: str) -> Daemon:
    vty = place.run / "frr" / f"{name}.vty"
    # -P 0: no TCP port for the vty; its unix socket is enough. Warnings and worse to the log.
    argv = (str(FOLDER / name), "-A", "127.0.0.1", "-P", "0", "--log", "stdout", "--log-level", "warnings")
    return Daemon(name, argv, lambda: ask(vty, "show version") is not None)


def _prepare(place: Place) -> None:
    (place.run / "frr").mkdir(exist_ok=True)


KIND = Kind(
    "frr",
    "bgpd",
    _daemons,
    config=CONFIG,
    prepare=_prepare,
    configure=lambda _place: (("/usr/bin/vtysh", "-b"),),
    sessions=sessions,
)

"""FRR: zebra, bgpd and what ``/etc/frr/daemons`` asks for; ready when each vty socket answers.

The integrated configuration is loaded by ``vtysh -b`` once all of them answer.
"""

from __future__ import annotations

from pathlib import Path

from labs.nodes.model import Daemon, Kind, Place, connect

CONFIG = "/etc/frr/frr.conf"
FOLDER = Path("/usr/lib/frr")
_OTHERS = ("staticd", "bfdd", "ospfd", "ospf6d", "isisd", "ripd", "ripngd", "pimd", "ldpd", "pbrd")


def answers(vty: Path) -> bool:
    """Say whether a daemon's vty socket answers a command.

    FRR's protocol: a command ends with a zero byte, its answer with three and a status byte (lib/vty.c).
    """
    client = connect(vty)
    if client is None:
        return False
    answer = b""
    with client:
        try:
            client.sendall(b"show version\0")
            while b"\0\0\0" not in answer[:-1]:
                piece = client.recv(65536)
                if not piece:
                    return False
                answer += piece
        except OSError:
            return False
    return True


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
    if name == "zebra":
        clients = place.run / "frr" / "zserv.api"
        return Daemon(name, argv, lambda: clients.is_socket() and answers(vty), stale=(clients,))
    # A bgpd that does not find zebra tries again 10 s later. Meanwhile it knows no interface, and drops every
    # IPv6 route that comes with a link-local next hop, for as long as the session lasts (FRR 8.4).
    return Daemon(name, argv, lambda: answers(vty), after="zebra")


def _prepare(place: Place) -> None:
    (place.run / "frr").mkdir(exist_ok=True)


KIND = Kind(
    "frr",
    "bgpd",
    _daemons,
    config=CONFIG,
    prepare=_prepare,
    configure=lambda _place: (("/usr/bin/vtysh", "-b"),),
)

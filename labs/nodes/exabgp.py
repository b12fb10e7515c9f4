"""ExaBGP 5: one daemon and its helper; ready when the helper listens.

ExaBGP runs ``/run/herald/exabgp-pipe`` as its API process: a wrapper that is made here, so that topologies
need not know where Herald is installed. Its neighbours tell whether its sessions are established.
"""

from __future__ import annotations

import sys
from pathlib import Path

from labs.nodes.model import Daemon, Kind, Place

CONFIG = "/etc/exabgp/exabgp.conf"
PIPE = "/run/herald/exabgp-pipe"
HELPER_SOCKET = "/run/herald/exabgp.sock"

# Names and values as ExaBGP 5.0 reads them. Its default user could not read a virtual environment in a home.
ENVIRONMENT = {
    "exabgp.daemon.user": "root",
    "exabgp.daemon.drop": "false",
    "exabgp.daemon.daemonize": "false",
    "exabgp.api.cli": "false",
    "exabgp.reactor.speed": "0.1",
    "exabgp.log.enable": "true",
    "exabgp.log.level": "ERROR",
    "exabgp.log.destination": "stderr",
    "exabgp.tcp.bind": "",
}


def _prepare(place: Place) -> None:
    folder = place.run / "herald"
    folder.mkdir(exist_ok=True)
    wrapper = folder / "exabgp-pipe"
    wrapper.write_text(
        f'#!/bin/sh\nexec "{sys.executable}" -m controller.speakers.exabgp_pipe {HELPER_SOCKET}\n'
    )
    wrapper.chmod(0o755)


def _daemons(place: Place) -> tuple[Daemon, ...]:
    argv = (str(Path(sys.executable).with_name("exabgp")), "server", CONFIG)
    # The helper's socket appears when it listens. Connecting to it to see would take the agent's place.
    socket = place.run / "herald" / "exabgp.sock"
    return (Daemon("exabgp", argv, socket.is_socket, stale=(socket,), env=ENVIRONMENT),)


KIND = Kind("exabgp", "exabgp", _daemons, config=CONFIG, prepare=_prepare)

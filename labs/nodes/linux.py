"""A node without a routing daemon: a host, a machine, an exchange's bridge; it may run one command."""

from __future__ import annotations

from pathlib import PurePosixPath

from labs.nodes.model import Daemon, Kind, Place


def _daemons(place: Place) -> tuple[Daemon, ...]:
    argv = (*place.spec.entrypoint, *place.spec.cmd)
    if not argv:
        return ()
    return (Daemon(PurePosixPath(argv[0]).name, argv, lambda: True),)


KIND = Kind("linux", "", _daemons)

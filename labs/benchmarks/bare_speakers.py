"""The floor of a change: the speakers' own commands, written by hand; no agent, no controller, no driver."""

from __future__ import annotations

import asyncio
import socket
from pathlib import Path
from typing import Protocol

from controller.bgp import Prefix
from controller.speakers import gobgp_rpc
from controller.speakers.exabgp_pipe import GREETING
from controller.speakers.gobgp_paths import LocalPath


class BareSpeaker(Protocol):
    """One route, in and out."""

    def write(self, prefix: Prefix, *, withdraw: bool) -> None:
        """Send the command and return when it has been acknowledged."""
        ...

    def close(self) -> None:
        """Let go of the speaker."""
        ...


class BareExabgp:
    """ExaBGP's text commands through its helper's socket."""

    def __init__(self, path: Path) -> None:
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._socket.connect(str(path))
        self._stream = self._socket.makefile("rwb")
        if self._stream.readline() != GREETING:
            raise RuntimeError(f"{path} is not ExaBGP's helper")

    def write(self, prefix: Prefix, *, withdraw: bool) -> None:
        """Write one line and read ``done``."""
        verb = "withdraw" if withdraw else "announce"
        self._stream.write(f"{verb} route {prefix} next-hop self\n".encode())
        self._stream.flush()
        answer = self._stream.readline().strip()
        if answer != b"done":
            raise RuntimeError(f"ExaBGP answered {answer!r}")

    def close(self) -> None:
        """Disconnect."""
        self._stream.close()
        self._socket.close()


class BareGobgp:
    """GoBGP's gRPC, one call a change."""

    def __init__(self, path: Path) -> None:
        self._loop = asyncio.new_event_loop()
        self._connection = self._loop.run_until_complete(gobgp_rpc.connect(str(path)))

    def write(self, prefix: Prefix, *, withdraw: bool) -> None:
        """Add or withdraw one path."""
        path = LocalPath(prefix, (), (), withdraw)
        self._loop.run_until_complete(self._connection.write([path]))

    def close(self) -> None:
        """Close the channel."""
        self._loop.run_until_complete(self._connection.close())
        self._loop.close()
